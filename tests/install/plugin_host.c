/* Opens the plugin, and has it open a model folder: plugin_host PLUGIN MODEL_FOLDER */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    void *plugin = argc == 3 ? dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
    int (*opens)(const char *) = NULL;
    void *found;
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", argc == 3 ? dlerror() : "usage: plugin_host PLUGIN MODEL_FOLDER");
        return 2;
    }
    found = dlsym(plugin, "plugin_opens");
    memcpy(&opens, &found, sizeof opens);
    return found != NULL && opens(argv[2]) ? 0 : 1;
}
