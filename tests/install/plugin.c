/* A plugin of another program's, with the library linked in: its own function is all that it exports. */
#include <clip.h>

int plugin_opens(const char *folder);

int plugin_opens(const char *folder)
{
    clip_model *model = NULL;
    clip_status status = clip_model_open(folder, NULL, &model);
    clip_model_free(model);
    return status == CLIP_OK;
}
