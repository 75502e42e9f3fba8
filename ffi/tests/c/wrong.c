/* Calls every function with every wrong argument, and checks the status and the message. Nothing may be printed.
 *
 *     wrong MODEL_FOLDER
 */
#include "check.h"

static void no_handles(void)
{
    clip_model_free(NULL);
    clip_labels_free(NULL);
    clip_image_free(NULL);
    TRUE(clip_model_name(NULL) == NULL);
    TRUE(clip_model_engine(NULL) == NULL);
    TRUE(clip_model_engine_version(NULL) == NULL);
    TRUE(clip_model_device(NULL) == NULL);
    TRUE(clip_model_text_engine(NULL) == NULL);
    TRUE(clip_model_unverified(NULL) == 0);
    TRUE(clip_model_image_precision(NULL) == NULL);
    TRUE(clip_model_text_precision(NULL) == NULL);
    TRUE(clip_model_embed_dim(NULL) == 0);
    TRUE(clip_model_image_size(NULL) == 0);
    TRUE(clip_model_context_length(NULL) == 0);
    TRUE(clip_labels_count(NULL) == 0);
    TRUE(clip_labels_name(NULL, 0) == NULL);
    TRUE(clip_labels_retain(NULL) == NULL);
    TRUE(clip_labels_background(NULL) == 0);
    TRUE(clip_model_logit_scale(NULL) == 0 && isnan(clip_model_logit_bias(NULL)));
    TRUE(clip_labels_logit_scale(NULL) == 0 && isnan(clip_labels_logit_bias(NULL)));
    TRUE(strcmp(clip_last_error(), "") == 0);
}

static void versions_and_names(void)
{
    int code;
    char version[40];

    sprintf(version, "%d.%d.%d", CLIP_VERSION_MAJOR, CLIP_VERSION_MINOR, CLIP_VERSION_PATCH);
    TRUE(strcmp(clip_version(), version) == 0);
    TRUE(clip_version_number() == CLIP_VERSION_NUMBER);
    TRUE(strcmp(clip_status_name(CLIP_OK), "CLIP_OK") == 0);
    TRUE(strcmp(clip_status_name(CLIP_ERROR_INTERNAL), "CLIP_ERROR_INTERNAL") == 0);
    TRUE(strcmp(clip_status_name(-1), "unknown status") == 0);
    for (code = -200; code < 200; code++)
        TRUE(clip_status_name(code) != NULL);
}

/* Options that are one of some words. */
static void options_in_words(const char *folder, clip_open_options *options)
{
    static const char *const engines[] = {"", "ONNX", "onnx ", "TensorRT"};
    static const char *const devices[] = {"", "CPU", "cuda", "cuda:", "cuda:+1", "cuda:-1", "cuda:99999999999", "gpu"};
    clip_model *model;
    size_t i;

    for (i = 0; i < sizeof engines / sizeof *engines; i++) {
        options->engine = engines[i];
        MAKES_NONE(model, CLIP_ERROR_ARGUMENT, "\", expected \"onnx\"", clip_model_open(folder, options, &model));
    }
    options->engine = latin1;
    MAKES_NONE(model, CLIP_ERROR_UTF8, "options->engine", clip_model_open(folder, options, &model));
    options->engine = "onnx";
    for (i = 0; i < sizeof devices / sizeof *devices; i++) {
        options->device = devices[i];
        MAKES_NONE(model, CLIP_ERROR_ARGUMENT, "\", expected \"cpu\"", clip_model_open(folder, options, &model));
    }
    options->device = "cuda:3";
    MAKES_NONE(model, CLIP_ERROR_DEVICE, "CUDA device 3 was asked for", clip_model_open(folder, options, &model));
    options->device = "cpu";
    WORKS(clip_model_open(folder, options, &model));
    TRUE(strcmp(clip_model_device(model), options->device) == 0);
    clip_model_free(model);
    options->engine = options->device = NULL;
}

static void models(const char *folder)
{
    clip_model *model;
    struct {
        clip_open_options known;
        size_t later;
    } options;

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_model_open(folder, NULL, NULL));
    MAKES_NONE(model, CLIP_ERROR_NULL, "path is NULL", clip_model_open(NULL, NULL, &model));
    MAKES_NONE(model, CLIP_ERROR_UTF8, "path is not UTF-8: byte 3", clip_model_open(latin1, NULL, &model));
    MAKES_NONE(model, CLIP_ERROR_FILE, "/no/such/folder", clip_model_open("/no/such/folder", NULL, &model));
    MAKES_NONE(model, CLIP_ERROR_FILE, "path is empty: name a model folder, which holds a clip.json",
               clip_model_open("", NULL, &model));

    memset(&options, 0, sizeof options);
    MAKES_NONE(model, CLIP_ERROR_STRUCT_SIZE, "struct_size is 0", clip_model_open(folder, &options.known, &model));
    options.known.struct_size = sizeof options.known - 1;
    MAKES_NONE(model, CLIP_ERROR_STRUCT_SIZE, "sizeof", clip_model_open(folder, &options.known, &model));
    options.known.struct_size = SIZE_MAX;
    MAKES_NONE(model, CLIP_ERROR_STRUCT_SIZE, "sizeof", clip_model_open(folder, &options.known, &model));
    options.known.struct_size = sizeof options;
    options.later = 1;
    MAKES_NONE(model, CLIP_ERROR_STRUCT_SIZE, "later version", clip_model_open(folder, &options.known, &model));
    options.later = 0;
    options.known.threads = SIZE_MAX;
    MAKES_NONE(model, CLIP_ERROR_ARGUMENT, "threads", clip_model_open(folder, &options.known, &model));
    options.known.threads = 1;
    options.known.onnxruntime = latin1;
    MAKES_NONE(model, CLIP_ERROR_UTF8, "options->onnxruntime", clip_model_open(folder, &options.known, &model));
    options.known.onnxruntime = "";
    MAKES_NONE(model, CLIP_ERROR_FILE, "options->onnxruntime is empty", clip_model_open(folder, &options.known, &model));
    options.known.onnxruntime = "/no/onnxruntime.so";
    MAKES_NONE(model, CLIP_ERROR_LIBRARY, "/no/onnxruntime.so", clip_model_open(folder, &options.known, &model));
    options.known.onnxruntime = NULL;
    options_in_words(folder, &options.known);
    WORKS(clip_model_open(folder, &options.known, &model));
    clip_model_free(model);
    /* There is one ONNX Runtime now, and it stays. */
    options.known.onnxruntime = "/no/onnxruntime.so";
    MAKES_NONE(model, CLIP_ERROR_LIBRARY, "/no/onnxruntime.so", clip_model_open(folder, &options.known, &model));
}

static void label_sets(const clip_model *model)
{
    static const char *const good[] = {"red", "blue"}, *const holes[] = {"red", NULL}, *const bytes[] = {latin1};
    static const char *const no_place[] = {"{}", "a photo"}, *const two_places[] = {"{} {}"};
    clip_labels *labels;

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_labels_new(model, good, 2, NULL, 0, NULL));
    MAKES_NONE(labels, CLIP_ERROR_NULL, "model is NULL", clip_labels_new(NULL, good, 2, NULL, 0, &labels));
    MAKES_NONE(labels, CLIP_ERROR_NULL, "labels is NULL", clip_labels_new(model, NULL, 2, NULL, 0, &labels));
    MAKES_NONE(labels, CLIP_ERROR_NULL, "labels[1] is NULL", clip_labels_new(model, holes, 2, NULL, 0, &labels));
    MAKES_NONE(labels, CLIP_ERROR_UTF8, "labels[0]", clip_labels_new(model, bytes, 1, NULL, 0, &labels));
    MAKES_NONE(labels, CLIP_ERROR_PROMPT, "empty", clip_labels_new(model, NULL, 0, NULL, 0, &labels));
    MAKES_NONE(labels, CLIP_ERROR_ARGUMENT, "labels", clip_labels_new(model, good, SIZE_MAX, NULL, 0, &labels));
    MAKES_NONE(labels, CLIP_ERROR_NULL, "templates is NULL", clip_labels_new(model, good, 2, NULL, 1, &labels));
    MAKES_NONE(labels, CLIP_ERROR_NULL, "templates[1]", clip_labels_new(model, good, 2, holes, 2, &labels));
    MAKES_NONE(labels, CLIP_ERROR_PROMPT, "a photo", clip_labels_new(model, good, 2, no_place, 2, &labels));
    MAKES_NONE(labels, CLIP_ERROR_PROMPT, "2 places", clip_labels_new(model, good, 2, two_places, 1, &labels));

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_labels_stored(model, NULL));
    MAKES_NONE(labels, CLIP_ERROR_NULL, "model is NULL", clip_labels_stored(NULL, &labels));
    MAKES_NONE(labels, CLIP_ERROR_MISSING, "no stored labels", clip_labels_stored(model, &labels));

    WORKS(clip_labels_new(model, good, 2, NULL, 0, &labels));
    TRUE(clip_labels_name(labels, 2) == NULL);
    TRUE(clip_labels_name(labels, SIZE_MAX) == NULL);
    clip_labels_free(labels);
}

/* What a message says of a megabyte is short. */
static void long_texts(const clip_model *model)
{
    const size_t size = 1 << 20;
    char *text = malloc(size + 1);
    const char *texts[1];
    clip_labels *labels;
    clip_image *image;

    if (text == NULL) {
        TRUE(text != NULL);
        return;
    }
    memset(text, 'x', size);
    text[size] = '\0';
    texts[0] = text;
    MAKES_NONE(labels, CLIP_ERROR_PROMPT, "(1048576 bytes)", clip_labels_new(model, texts, 1, texts, 1, &labels));
    TRUE(strlen(clip_last_error()) < 300);
    MAKES_NONE(image, CLIP_ERROR_FILE, "1048576 bytes", clip_image_open(model, text, &image));
    TRUE(strlen(clip_last_error()) < 300);
    WORKS(clip_labels_new(model, texts, 1, NULL, 0, &labels));
    clip_labels_free(labels);
    free(text);
}

static void images(const clip_model *model)
{
    static const uint8_t pixels[2 * 8 + 6] = {0}, text[] = "a photo of a cat", ppm[] = "P6 1 1 255\nabc";
    clip_image *image;

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_image_open(model, "a.png", NULL));
    MAKES_NONE(image, CLIP_ERROR_NULL, "model is NULL", clip_image_open(NULL, "a.png", &image));
    MAKES_NONE(image, CLIP_ERROR_NULL, "path is NULL", clip_image_open(model, NULL, &image));
    MAKES_NONE(image, CLIP_ERROR_UTF8, "path", clip_image_open(model, latin1, &image));
    MAKES_NONE(image, CLIP_ERROR_FILE, "path is empty: name an image file", clip_image_open(model, "", &image));
    MAKES_NONE(image, CLIP_ERROR_FILE, "/no/such.png", clip_image_open(model, "/no/such.png", &image));

    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_image_decode(model, text, sizeof text, NULL));
    MAKES_NONE(image, CLIP_ERROR_NULL, "model is NULL", clip_image_decode(NULL, text, sizeof text, &image));
    MAKES_NONE(image, CLIP_ERROR_NULL, "data is NULL", clip_image_decode(model, NULL, 1, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "data", clip_image_decode(model, text, SIZE_MAX, &image));
    MAKES_NONE(image, CLIP_ERROR_IMAGE, "", clip_image_decode(model, NULL, 0, &image));
    MAKES_NONE(image, CLIP_ERROR_IMAGE, "", clip_image_decode(model, text, sizeof text, &image));
    WORKS(clip_image_decode(model, ppm, sizeof ppm - 1, &image));
    clip_image_free(image);

    /* 2 x 3 pixels in rows of 8 bytes. */
    FAILS(CLIP_ERROR_NULL, "out is NULL", clip_image_from_rgb(pixels, sizeof pixels, 2, 3, 8, NULL));
    MAKES_NONE(image, CLIP_ERROR_NULL, "pixels is NULL", clip_image_from_rgb(NULL, 22, 2, 3, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "0x3", clip_image_from_rgb(pixels, 22, 0, 3, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "2x0", clip_image_from_rgb(pixels, 22, 2, 0, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "stride", clip_image_from_rgb(pixels, 22, 2, 3, 5, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "21 bytes", clip_image_from_rgb(pixels, 21, 2, 3, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "0 bytes", clip_image_from_rgb(NULL, 0, 2, 3, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "22 bytes", clip_image_from_rgb(pixels, 22, 2, 4, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "bytes", clip_image_from_rgb(pixels, 22, 2, 3, SIZE_MAX, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "memory", clip_image_from_rgb(pixels, 22, SIZE_MAX, 3, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "memory", clip_image_from_rgb(pixels, 22, 2, SIZE_MAX / 8, 8, &image));
    MAKES_NONE(image, CLIP_ERROR_ARGUMENT, "pixels", clip_image_from_rgb(pixels, SIZE_MAX, 2, 3, 8, &image));
    WORKS(clip_image_from_rgb(pixels, 22, 2, 3, 8, &image));
    clip_image_free(image);
}

static void classification(const clip_model *model, const clip_image *image, const clip_labels *labels)
{
    clip_match matches[2];
    size_t count = 7;

    FAILS(CLIP_ERROR_NULL, "count is NULL", clip_classify(model, image, labels, matches, 2, NULL));
    FAILS(CLIP_ERROR_NULL, "model is NULL", clip_classify(NULL, image, labels, matches, 2, &count));
    TRUE(count == 0);
    FAILS(CLIP_ERROR_NULL, "image is NULL", clip_classify(model, NULL, labels, matches, 2, &count));
    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_classify(model, image, NULL, matches, 2, &count));
    FAILS(CLIP_ERROR_NULL, "matches is NULL", clip_classify(model, image, labels, NULL, 2, &count));
    FAILS(CLIP_ERROR_CAPACITY, "room for 0", clip_classify(model, image, labels, matches, 0, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "matches", clip_classify(model, image, labels, matches, SIZE_MAX, &count));
    WORKS(clip_classify(model, image, labels, matches, 2, &count));
    TRUE(count == 2);
}

static void classification_of_many(const clip_model *model, const clip_image *image, const clip_labels *labels)
{
    const clip_image *images[2];
    clip_match matches[4];
    size_t count = 7;

    images[0] = image;
    images[1] = NULL;
    FAILS(CLIP_ERROR_NULL, "count is NULL", clip_classify_images(model, images, 1, labels, 2, matches, 2, NULL));
    FAILS(CLIP_ERROR_NULL, "model is NULL", clip_classify_images(NULL, images, 1, labels, 2, matches, 2, &count));
    TRUE(count == 0);
    FAILS(CLIP_ERROR_NULL, "images is NULL", clip_classify_images(model, NULL, 1, labels, 2, matches, 2, &count));
    FAILS(CLIP_ERROR_NULL, "images[1] is NULL", clip_classify_images(model, images, 2, labels, 2, matches, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "images", clip_classify_images(model, images, SIZE_MAX, labels, 2, matches, 4, &count));
    images[1] = image;
    FAILS(CLIP_ERROR_NULL, "labels is NULL", clip_classify_images(model, images, 2, NULL, 2, matches, 4, &count));
    FAILS(CLIP_ERROR_NULL, "matches is NULL", clip_classify_images(model, images, 2, labels, 2, NULL, 4, &count));
    FAILS(CLIP_ERROR_CAPACITY, "matches has room for 3 elements, 4 are needed",
          clip_classify_images(model, images, 2, labels, 2, matches, 3, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "top is 0", clip_classify_images(model, images, 2, labels, 0, matches, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "matches", clip_classify_images(model, images, 2, labels, SIZE_MAX, matches, 4, &count));
    FAILS(CLIP_ERROR_ARGUMENT, "matches",
          clip_classify_images(model, images, 1, labels, SIZE_MAX, matches, SIZE_MAX, &count));
    TRUE(count == 0);
    WORKS(clip_classify_images(model, images, 2, labels, 2, matches, 4, &count));
    TRUE(count == 2);
    TRUE(matches[0].index == matches[2].index && matches[0].probability == matches[2].probability);
    WORKS(clip_classify_images(model, NULL, 0, labels, 9, NULL, 0, &count));
    TRUE(count == 3);
}

static void embeddings(const clip_model *model, const clip_image *image)
{
    static const char *const texts[] = {"red", latin1};
    const clip_image *pictures[2];
    const size_t dim = clip_model_embed_dim(model);
    float *rows = malloc(2 * dim * sizeof *rows);

    if (rows == NULL) {
        TRUE(rows != NULL);
        return;
    }
    pictures[0] = image;
    pictures[1] = NULL;
    FAILS(CLIP_ERROR_NULL, "model is NULL", clip_embed_images(NULL, pictures, 1, rows, dim));
    FAILS(CLIP_ERROR_NULL, "images is NULL", clip_embed_images(model, NULL, 1, rows, dim));
    FAILS(CLIP_ERROR_NULL, "images[1] is NULL", clip_embed_images(model, pictures, 2, rows, 2 * dim));
    FAILS(CLIP_ERROR_NULL, "embeddings is NULL", clip_embed_images(model, pictures, 1, NULL, dim));
    FAILS(CLIP_ERROR_CAPACITY, "embeddings", clip_embed_images(model, pictures, 1, rows, dim - 1));
    FAILS(CLIP_ERROR_CAPACITY, "embeddings", clip_embed_images(model, pictures, 1, rows, 0));
    FAILS(CLIP_ERROR_ARGUMENT, "images", clip_embed_images(model, pictures, SIZE_MAX, rows, dim));
    WORKS(clip_embed_images(model, pictures, 1, rows, dim));
    WORKS(clip_embed_images(model, NULL, 0, NULL, 0));

    FAILS(CLIP_ERROR_NULL, "model is NULL", clip_embed_texts(NULL, texts, 1, rows, dim));
    FAILS(CLIP_ERROR_NULL, "texts is NULL", clip_embed_texts(model, NULL, 1, rows, dim));
    FAILS(CLIP_ERROR_NULL, "embeddings is NULL", clip_embed_texts(model, texts, 1, NULL, dim));
    FAILS(CLIP_ERROR_UTF8, "texts[1]", clip_embed_texts(model, texts, 2, rows, 2 * dim));
    FAILS(CLIP_ERROR_CAPACITY, "embeddings", clip_embed_texts(model, texts, 1, rows, dim - 1));
    FAILS(CLIP_ERROR_ARGUMENT, "texts", clip_embed_texts(model, texts, SIZE_MAX, rows, dim));
    WORKS(clip_embed_texts(model, texts, 1, rows, dim));
    WORKS(clip_embed_texts(model, NULL, 0, NULL, 0));
    free(rows);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"red", "green", "blue"};
    static const uint8_t red[3] = {255, 0, 0};
    clip_model *model = NULL;
    clip_labels *labels = NULL;
    clip_image *image = NULL;

    if (argc != 2)
        return 2;
    no_handles();
    versions_and_names();
    models(argv[1]);
    WORKS(clip_model_open(argv[1], NULL, &model));
    WORKS(clip_labels_new(model, names, 3, NULL, 0, &labels));
    WORKS(clip_image_from_rgb(red, 3, 1, 1, 3, &image));
    label_sets(model);
    long_texts(model);
    images(model);
    classification(model, image, labels);
    classification_of_many(model, image, labels);
    embeddings(model, image);
    clip_model_free(model);
    clip_labels_free(labels);
    clip_image_free(image);
    /* So that a program that stopped half-way is noticed. */
    return failures == 0 && checks > 500 ? 0 : 1;
}
