/* Classifies pictures with a model folder:
 *
 *     classify MODEL_FOLDER LABELS_FILE|- IMAGE...
 *
 * LABELS_FILE has one label a line; - stands for the labels that are stored in the folder. Prints the three labels that fit each picture best, with their probabilities.
 *
 *     cc -Iinclude examples/c/classify.c -o classify -Ltarget/release -lclip -Wl,-rpath,$PWD/target/release
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"

#define TOP 3

/* A text and pointers to its lines. */
typedef struct {
    char *text;
    const char **lines;
    size_t n;
} label_list;

/* Reads a whole file and ends it with a zero. NULL, after a message, if that fails. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, room = 0;

    if (file == NULL) {
        perror(path);
        return NULL;
    }
    do {
        char *more = realloc(text, room += 4096);
        if (more == NULL) {
            perror(path);
            free(text);
            fclose(file);
            return NULL;
        }
        text = more;
        size += fread(text + size, 1, room - size - 1, file);
    } while (size == room - 1);
    if (ferror(file)) {
        perror(path);
        free(text);
        text = NULL;
    } else {
        text[size] = '\0';
    }
    fclose(file);
    return text;
}

/* Reads the labels of a file, one a line, without the blanks around them; blank lines are left out. 0 if that fails. */
static int read_labels(const char *path, label_list *list)
{
    char *line;
    size_t most = 1, length;

    list->text = read_text(path);
    list->lines = NULL;
    list->n = 0;
    if (list->text == NULL)
        return 0;
    for (line = list->text; *line != '\0'; line++)
        most += *line == '\n';
    list->lines = malloc(most * sizeof *list->lines);
    if (list->lines == NULL) {
        perror(path);
        return 0;
    }
    /* Some editors begin a file with a byte order mark. */
    line = list->text + (strncmp(list->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
    for (line = strtok(line, "\r\n"); line != NULL; line = strtok(NULL, "\r\n")) {
        line += strspn(line, " \t");
        for (length = strlen(line); length > 0 && strchr(" \t", line[length - 1]) != NULL; length--)
            line[length - 1] = '\0';
        if (length > 0)
            list->lines[list->n++] = line;
    }
    return 1;
}

/* Says which step failed and why. */
static void complain(const char *what, clip_status status)
{
    fprintf(stderr, "%s: %s (%s)\n", what, clip_last_error(), clip_status_name(status));
}

/* clip_image_open, clip_classify: one picture. 0 if it fails. */
static int classify(const clip_model *model, const clip_labels *labels, const char *path)
{
    clip_image *image = NULL;
    clip_match matches[TOP];
    size_t i, count;
    clip_status status = clip_image_open(model, path, &image);

    if (status == CLIP_OK)
        status = clip_classify(model, image, labels, matches, TOP, &count);
    clip_image_free(image);
    if (status != CLIP_OK) {
        complain(path, status);
        return 0;
    }
    printf("%s\n", path);
    for (i = 0; i < count; i++)
        printf("  %5.1f %%  %s\n", 100.0 * matches[i].probability, clip_labels_name(labels, matches[i].index));
    return 1;
}

/* clip_model_open, clip_labels_new or clip_labels_stored: what all pictures share. Goes on after a picture that cannot be read. */
int main(int argc, char **argv)
{
    clip_model *model = NULL;
    clip_labels *labels = NULL;
    label_list list = {NULL, NULL, 0};
    clip_status status;
    int i, stored, failed = 1;

    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL_FOLDER LABELS_FILE|- IMAGE...\n", argv[0]);
        return 2;
    }
    stored = strcmp(argv[2], "-") == 0;
    if (!stored && !read_labels(argv[2], &list))
        goto end;
    status = clip_model_open(argv[1], NULL, &model);
    if (status != CLIP_OK) {
        complain(argv[1], status);
        goto end;
    }
    /* The labels as they are; with templates, "cat" could become "a photo of a cat.". */
    status = stored ? clip_labels_stored(model, &labels)
                    : clip_labels_new(model, list.lines, list.n, NULL, 0, &labels);
    if (status != CLIP_OK) {
        complain(argv[2], status);
        goto end;
    }
    failed = 0;
    for (i = 3; i < argc; i++)
        failed |= !classify(model, labels, argv[i]);
    if (fflush(stdout) != 0) {
        perror("standard output");
        failed = 1;
    }

end:
    clip_labels_free(labels);
    clip_model_free(model);
    free(list.lines);
    free(list.text);
    return failed;
}
