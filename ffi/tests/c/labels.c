/* Label sets from every source, as files, with probabilities of their own and a background; and every wrong argument.
 *
 *     labels MODEL_FOLDER ANOTHER_MODEL_FOLDER FOLDER_TO_WRITE_TO
 */
/* mkfifo and symlink */
#define _XOPEN_SOURCE 700

#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

#define N 3

static const char *const names[N] = {"red", "green", "blue"};

static char path[4096];

/* A path in the folder to write to, valid until the next call. */
static const char *in(const char *folder, const char *name)
{
    sprintf(path, "%.2000s/%.100s", folder, name);
    return path;
}

static int near(double a, double b)
{
    return fabs(a - b) < 1e-5;
}

static void read_and_made_again(const clip_model *model, const clip_labels *labels, const clip_image *image)
{
    const size_t dim = clip_model_embed_dim(model), size = N * dim;
    float *rows = malloc(size * sizeof *rows);
    const char *const bytes[] = {latin1}, *const holes[] = {"a", NULL};
    clip_labels *made;
    clip_match first, again;
    size_t i, count;

    if (rows == NULL) {
        TRUE(rows != NULL);
        return;
    }
    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_labels_embeddings(NULL, rows, size));
    FAILS(CLIP_ERROR_NULL, "embeddings is NULL", clip_labels_embeddings(labels, NULL, size));
    FAILS(CLIP_ERROR_CAPACITY, "room for 0", clip_labels_embeddings(labels, NULL, 0));
    FAILS(CLIP_ERROR_CAPACITY, "embeddings", clip_labels_embeddings(labels, rows, size - 1));
    WORKS(clip_labels_embeddings(labels, rows, size));

    /* Of any length. */
    for (i = 0; i < size; i++)
        rows[i] *= 5;
    WORKS(clip_labels_from_embeddings(model, names, N, rows, size, &made));
    TRUE(clip_labels_count(made) == N && strcmp(clip_labels_name(made, 2), "blue") == 0);
    WORKS(clip_classify(model, image, labels, &first, 1, &count));
    WORKS(clip_classify(model, image, made, &again, 1, &count));
    TRUE(first.index == again.index && near(first.probability, again.probability));
    clip_labels_free(made);

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_labels_from_embeddings(model, names, N, rows, size, NULL));
    MAKES_NONE(made, CLIP_ERROR_NULL, "model is NULL", clip_labels_from_embeddings(NULL, names, N, rows, size, &made));
    MAKES_NONE(made, CLIP_ERROR_NULL, "labels is NULL", clip_labels_from_embeddings(model, NULL, N, rows, size, &made));
    MAKES_NONE(made, CLIP_ERROR_NULL, "labels[1]", clip_labels_from_embeddings(model, holes, 2, rows, 2 * dim, &made));
    MAKES_NONE(made, CLIP_ERROR_UTF8, "labels[0]", clip_labels_from_embeddings(model, bytes, 1, rows, dim, &made));
    MAKES_NONE(made, CLIP_ERROR_NULL, "embeddings is", clip_labels_from_embeddings(model, names, N, NULL, size, &made));
    MAKES_NONE(made, CLIP_ERROR_ARGUMENT, "expected", clip_labels_from_embeddings(model, names, N, rows, size - 1, &made));
    MAKES_NONE(made, CLIP_ERROR_ARGUMENT, "expected", clip_labels_from_embeddings(model, names, 2, rows, size, &made));
    MAKES_NONE(made, CLIP_ERROR_ARGUMENT, "embeddings",
               clip_labels_from_embeddings(model, names, N, rows, SIZE_MAX, &made));
    MAKES_NONE(made, CLIP_ERROR_ARGUMENT, "labels", clip_labels_from_embeddings(model, names, SIZE_MAX, rows, size, &made));
    MAKES_NONE(made, CLIP_ERROR_PROMPT, "empty", clip_labels_from_embeddings(model, NULL, 0, NULL, 0, &made));
    rows[dim] = NAN;
    MAKES_NONE(made, CLIP_ERROR_ARGUMENT, "row 1", clip_labels_from_embeddings(model, names, N, rows, size, &made));
    for (i = 0; i < size; i++)
        rows[i] = 0;
    MAKES_NONE(made, CLIP_ERROR_ARGUMENT, "row 0", clip_labels_from_embeddings(model, names, N, rows, size, &made));
    free(rows);
}

/* Writes a picture of one pixel, as a PPM file. */
static const char *write_pixel(const char *folder, const uint8_t *pixel)
{
    const char *name = in(folder, "pixel.ppm");
    FILE *file = fopen(name, "wb");

    TRUE(file != NULL && fputs("P6 1 1 255\n", file) >= 0 && fwrite(pixel, 3, 1, file) == 1 && fclose(file) == 0);
    return name;
}

static void of_images(const clip_model *model, const clip_image *red, const char *folder)
{
    static const char *const shown[] = {"warm", "cold", "warm"}, *const bytes[] = {"a", latin1};
    static const uint8_t blue_pixel[3] = {0, 0, 255}, orange_pixel[3] = {255, 40, 0};
    const clip_image *images[3];
    clip_image *blue = NULL, *orange = NULL;
    clip_labels *made;
    clip_match best;
    size_t count;

    WORKS(clip_image_from_rgb(blue_pixel, 3, 1, 1, 3, &blue));
    WORKS(clip_image_open(model, write_pixel(folder, orange_pixel), &orange));
    images[0] = red;
    images[1] = blue;
    images[2] = orange;
    WORKS(clip_labels_from_images(model, shown, images, 3, &made));
    TRUE(clip_labels_count(made) == 2 && strcmp(clip_labels_name(made, 1), "cold") == 0);
    WORKS(clip_classify(model, orange, made, &best, 1, &count));
    TRUE(best.index == 0);
    clip_labels_free(made);

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_labels_from_images(model, shown, images, 3, NULL));
    MAKES_NONE(made, CLIP_ERROR_NULL, "model is NULL", clip_labels_from_images(NULL, shown, images, 3, &made));
    MAKES_NONE(made, CLIP_ERROR_NULL, "labels is NULL", clip_labels_from_images(model, NULL, images, 3, &made));
    MAKES_NONE(made, CLIP_ERROR_NULL, "images is NULL", clip_labels_from_images(model, shown, NULL, 3, &made));
    MAKES_NONE(made, CLIP_ERROR_UTF8, "labels[1]", clip_labels_from_images(model, bytes, images, 2, &made));
    MAKES_NONE(made, CLIP_ERROR_PROMPT, "empty", clip_labels_from_images(model, NULL, NULL, 0, &made));
    MAKES_NONE(made, CLIP_ERROR_ARGUMENT, "labels", clip_labels_from_images(model, shown, images, SIZE_MAX, &made));
    images[2] = NULL;
    MAKES_NONE(made, CLIP_ERROR_NULL, "images[2] is NULL", clip_labels_from_images(model, shown, images, 3, &made));
    clip_image_free(blue);
    clip_image_free(orange);
}

static void files(const clip_model *model, const clip_model *other, const clip_labels *labels, const char *folder)
{
    clip_labels *read;
    FILE *file;

    WORKS(clip_labels_save(labels, in(folder, "labels.safetensors")));
    WORKS(clip_labels_load(model, in(folder, "labels.safetensors"), &read));
    TRUE(clip_labels_count(read) == N && strcmp(clip_labels_name(read, 1), "green") == 0);
    /* Over the one that is there. */
    WORKS(clip_labels_save(read, in(folder, "labels.safetensors")));
    clip_labels_free(read);
    MAKES_NONE(read, CLIP_ERROR_LABELS, "encode the labels again", clip_labels_load(other, in(folder, "labels.safetensors"), &read));

    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_labels_save(NULL, in(folder, "a")));
    FAILS(CLIP_ERROR_NULL, "path is NULL", clip_labels_save(labels, NULL));
    FAILS(CLIP_ERROR_UTF8, "path", clip_labels_save(labels, latin1));
    FAILS(CLIP_ERROR_FILE, "path is empty: name a file to write", clip_labels_save(labels, ""));
    FAILS(CLIP_ERROR_FILE, "/no/such/folder", clip_labels_save(labels, "/no/such/folder/labels"));
    FAILS(CLIP_ERROR_FILE, "not a plain file", clip_labels_save(labels, folder));
    TRUE(mkfifo(in(folder, "pipe"), 0600) == 0 && symlink("labels.safetensors", in(folder, "link")) == 0);
    FAILS(CLIP_ERROR_FILE, "not a plain file", clip_labels_save(labels, in(folder, "pipe")));
    FAILS(CLIP_ERROR_FILE, "not a plain file", clip_labels_save(labels, in(folder, "link")));
    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_labels_load(model, in(folder, "labels.safetensors"), NULL));
    MAKES_NONE(read, CLIP_ERROR_NULL, "model is NULL", clip_labels_load(NULL, in(folder, "labels.safetensors"), &read));
    MAKES_NONE(read, CLIP_ERROR_NULL, "path is NULL", clip_labels_load(model, NULL, &read));
    MAKES_NONE(read, CLIP_ERROR_UTF8, "path", clip_labels_load(model, latin1, &read));
    MAKES_NONE(read, CLIP_ERROR_FILE, "path is empty: name a file of labels", clip_labels_load(model, "", &read));
    MAKES_NONE(read, CLIP_ERROR_FILE, "/no/such/file", clip_labels_load(model, "/no/such/file", &read));
    file = fopen(in(folder, "red.txt"), "wb");
    TRUE(file != NULL && fputs("red\ngreen\n", file) >= 0 && fclose(file) == 0);
    MAKES_NONE(read, CLIP_ERROR_LABELS, "red.txt is no label set", clip_labels_load(model, in(folder, "red.txt"), &read));
}

static void probabilities(const clip_model *model, const clip_labels *labels, const clip_image *image)
{
    clip_labels *own, *kept;
    clip_match before[N], after[N];
    double total = 0;
    size_t i, count;

    TRUE(clip_model_logit_scale(model) > 0 && isnan(clip_model_logit_bias(model)));
    TRUE(clip_labels_logit_scale(labels) == 0 && isnan(clip_labels_logit_bias(labels)));
    WORKS(clip_classify(model, image, labels, before, N, &count));
    WORKS(clip_labels_with_logits(labels, 2, NAN, &own));
    TRUE(clip_labels_logit_scale(own) == 2 && isnan(clip_labels_logit_bias(own)));
    WORKS(clip_classify(model, image, own, after, N, &count));
    for (i = 0; i < N; i++)
        total += exp(2 * before[i].similarity);
    for (i = 0; i < N; i++)
        TRUE(near(after[i].probability, exp(2 * before[i].similarity) / total));
    /* One of the other, with a probability of its own for each label. */
    WORKS(clip_labels_with_logits(own, 3, -1, &kept));
    clip_labels_free(own);
    TRUE(clip_labels_logit_scale(kept) == 3 && clip_labels_logit_bias(kept) == -1);
    WORKS(clip_classify(model, image, kept, after, N, &count));
    for (i = 0; i < N; i++)
        TRUE(near(after[i].probability, 1 / (1 + exp(1 - 3 * before[i].similarity))));
    clip_labels_free(kept);

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_labels_with_logits(labels, 2, NAN, NULL));
    MAKES_NONE(own, CLIP_ERROR_NULL, "labels is NULL", clip_labels_with_logits(NULL, 2, NAN, &own));
    MAKES_NONE(own, CLIP_ERROR_ARGUMENT, "scale 0", clip_labels_with_logits(labels, 0, NAN, &own));
    MAKES_NONE(own, CLIP_ERROR_ARGUMENT, "scale -1", clip_labels_with_logits(labels, -1, 0, &own));
    MAKES_NONE(own, CLIP_ERROR_ARGUMENT, "scale NaN", clip_labels_with_logits(labels, NAN, 0, &own));
    MAKES_NONE(own, CLIP_ERROR_ARGUMENT, "scale inf", clip_labels_with_logits(labels, INFINITY, 0, &own));
    MAKES_NONE(own, CLIP_ERROR_ARGUMENT, "bias", clip_labels_with_logits(labels, 1, -INFINITY, &own));
}

static void stored_embeddings(const clip_model *model, const clip_model *other, const clip_labels *labels,
                              const clip_image *image)
{
    const size_t dim = clip_model_embed_dim(model), size = 2 * dim;
    float *rows = malloc(size * sizeof *rows);
    const clip_image *images[2];
    clip_match expected[4], found[4];
    size_t i, count = 7;

    if (rows == NULL) {
        TRUE(rows != NULL);
        return;
    }
    images[0] = images[1] = image;
    WORKS(clip_embed_images(model, images, 2, rows, size));
    WORKS(clip_classify_images(model, images, 2, labels, 2, expected, 4, &count));
    for (i = 0; i < dim; i++)
        rows[i] *= 0.25f;
    WORKS(clip_classify_embeddings(model, rows, size, 2, labels, 2, found, 4, &count));
    TRUE(count == 2);
    for (i = 0; i < 4; i++)
        TRUE(found[i].index == expected[i].index && near(found[i].probability, expected[i].probability)
             && near(found[i].similarity, expected[i].similarity));
    WORKS(clip_classify_embeddings(model, NULL, 0, 0, labels, 9, NULL, 0, &count));
    TRUE(count == N);

    FAILS(CLIP_ERROR_NULL, "count is NULL", clip_classify_embeddings(model, rows, size, 2, labels, 2, found, 4, NULL));
    FAILS(CLIP_ERROR_NULL, "model is NULL", clip_classify_embeddings(NULL, rows, size, 2, labels, 2, found, 4, &count));
    TRUE(count == 0);
    FAILS(CLIP_ERROR_NULL, "embeddings is", clip_classify_embeddings(model, NULL, size, 2, labels, 2, found, 4, &count));
    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_classify_embeddings(model, rows, size, 2, NULL, 2, found, 4, &count));
    FAILS(CLIP_ERROR_NULL, "matches is", clip_classify_embeddings(model, rows, size, 2, labels, 2, NULL, 4, &count));
    FAILS(CLIP_ERROR_CAPACITY, "matches", clip_classify_embeddings(model, rows, size, 2, labels, 2, found, 3, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "top is 0", clip_classify_embeddings(model, rows, size, 2, labels, 0, found, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "size", clip_classify_embeddings(model, rows, size, 1, labels, 2, found, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "size", clip_classify_embeddings(model, rows, size - 1, 2, labels, 2, found, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "size", clip_classify_embeddings(model, rows, size, SIZE_MAX, labels, 2, found, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "embeddings",
          clip_classify_embeddings(model, rows, SIZE_MAX, 2, labels, 2, found, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "encode the labels again",
          clip_classify_embeddings(other, rows, size, 2, labels, 2, found, 4, &count));
    rows[dim] = INFINITY;
    FAILS(CLIP_ERROR_ARGUMENT, "row 1", clip_classify_embeddings(model, rows, size, 2, labels, 2, found, 4, &count));
    free(rows);
}

static void none_of_them(const clip_model *model, const clip_model *other, const clip_image *red)
{
    static const char *const wanted[] = {"green", "blue"}, *const unwanted[] = {"red"};
    struct {
        clip_rule known;
        size_t later;
    } rule = {CLIP_RULE_INIT, 0};
    clip_labels *labels = NULL, *background = NULL, *foreign = NULL, *both;
    clip_match matches[N];
    size_t index, count;

    WORKS(clip_labels_new(model, wanted, 2, NULL, 0, &labels));
    FAILS(CLIP_ERROR_ARGUMENT, "encode the labels again", clip_classify(other, red, labels, matches, N, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "encode the labels again", clip_classify_images(other, &red, 1, labels, N, matches, N, &count));
    TRUE(count == 0);
    WORKS(clip_labels_new(model, unwanted, 1, NULL, 0, &background));
    WORKS(clip_labels_new(other, unwanted, 1, NULL, 0, &foreign));
    WORKS(clip_labels_with_background(labels, background, &both));
    TRUE(clip_labels_count(both) == 3 && clip_labels_background(both) == 1 && clip_labels_background(labels) == 0);
    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_labels_with_background(labels, background, NULL));
    WORKS(clip_classify(model, red, both, matches, 3, &count));
    TRUE(matches[0].index == 2);
    WORKS(clip_decide(both, matches, count, NULL, &index));
    TRUE(index == CLIP_NONE);
    /* The best of the others would be shown. */
    WORKS(clip_decide(both, matches + 1, count - 1, &rule.known, &index));
    TRUE(index == matches[1].index);
    rule.known.min_probability = matches[1].probability + 0.01f;
    WORKS(clip_decide(both, matches + 1, count - 1, &rule.known, &index));
    TRUE(index == CLIP_NONE);
    rule.known.min_probability = 0;
    rule.known.min_similarity = matches[1].similarity + 0.01f;
    WORKS(clip_decide(both, matches + 1, count - 1, &rule.known, &index));
    TRUE(index == CLIP_NONE);
    WORKS(clip_decide(both, NULL, 0, NULL, &index));
    TRUE(index == CLIP_NONE);

    index = 7;
    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_decide(NULL, matches, count, NULL, &index));
    TRUE(index == CLIP_NONE);
    FAILS(CLIP_ERROR_NULL, "matches is NULL", clip_decide(both, NULL, count, NULL, &index));
    FAILS(CLIP_ERROR_NULL, "index is NULL", clip_decide(both, matches, count, NULL, NULL));
    FAILS(CLIP_ERROR_ARGUMENT, "matches", clip_decide(both, matches, SIZE_MAX, NULL, &index));
    FAILS(CLIP_ERROR_ARGUMENT, "index is 2, and there are 2 labels", clip_decide(labels, matches, count, NULL, &index));
    rule.known.min_similarity = 1.5f;
    FAILS(CLIP_ERROR_ARGUMENT, "similarity is 1.5", clip_decide(both, matches, count, &rule.known, &index));
    rule.known.min_similarity = 0;
    rule.known.min_probability = NAN;
    FAILS(CLIP_ERROR_ARGUMENT, "probability is NaN", clip_decide(both, matches, count, &rule.known, &index));
    rule.known.struct_size = 8;
    FAILS(CLIP_ERROR_STRUCT_SIZE, "sizeof", clip_decide(both, matches, count, &rule.known, &index));
    rule.known.struct_size = sizeof rule;
    rule.later = 1;
    FAILS(CLIP_ERROR_STRUCT_SIZE, "later version", clip_decide(both, matches, count, &rule.known, &index));

    clip_labels_free(both);
    MAKES_NONE(both, CLIP_ERROR_NULL, "labels is NULL", clip_labels_with_background(NULL, background, &both));
    MAKES_NONE(both, CLIP_ERROR_NULL, "background is NULL", clip_labels_with_background(labels, NULL, &both));
    MAKES_NONE(both, CLIP_ERROR_ARGUMENT, "encode the labels again", clip_labels_with_background(labels, foreign, &both));
    clip_labels_free(labels);
    clip_labels_free(background);
    clip_labels_free(foreign);
}

/* Those of the folder, which its file has too. */
static void stored(const clip_model *model, const clip_model *other, const char *other_folder)
{
    clip_labels *labels, *read;

    WORKS(clip_labels_stored(other, &labels));
    TRUE(clip_labels_count(labels) == 2 && strcmp(clip_labels_name(labels, 1), "red") == 0);
    WORKS(clip_labels_load(other, in(other_folder, "labels.safetensors"), &read));
    TRUE(clip_labels_count(read) == 2);
    clip_labels_free(labels);
    clip_labels_free(read);
    MAKES_NONE(read, CLIP_ERROR_LABELS, "which model", clip_labels_load(model, in(other_folder, "labels.safetensors"), &read));
}

/* Labels that were freed by one owner serve the other. */
static void owners(const clip_model *model, const clip_image *red)
{
    clip_labels *labels = NULL, *mine;
    clip_match best;
    size_t count;

    WORKS(clip_labels_new(model, names, N, NULL, 0, &labels));
    mine = clip_labels_retain(labels);
    TRUE(mine == labels);
    clip_labels_free(labels);
    WORKS(clip_classify(model, red, mine, &best, 1, &count));
    TRUE(strcmp(clip_labels_name(mine, best.index), "red") == 0);
    clip_labels_free(mine);
}

int main(int argc, char **argv)
{
    static const uint8_t red_pixel[3] = {255, 0, 0};
    clip_model *model = NULL, *other = NULL;
    clip_labels *labels = NULL;
    clip_image *red = NULL;

    if (argc != 4)
        return 2;
    WORKS(clip_model_open(argv[1], NULL, &model));
    WORKS(clip_model_open(argv[2], NULL, &other));
    WORKS(clip_labels_new(model, names, N, NULL, 0, &labels));
    WORKS(clip_image_from_rgb(red_pixel, 3, 1, 1, 3, &red));
    read_and_made_again(model, labels, red);
    of_images(model, red, argv[3]);
    files(model, other, labels, argv[3]);
    probabilities(model, labels, red);
    stored_embeddings(model, other, labels, red);
    none_of_them(model, other, red);
    stored(model, other, argv[2]);
    owners(model, red);
    clip_image_free(red);
    clip_labels_free(labels);
    clip_model_free(other);
    clip_model_free(model);
    return failures == 0 && checks > 150 ? 0 : 1;
}
