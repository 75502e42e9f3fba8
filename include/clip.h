/* libclip: finds the words that fit a picture (CLIP, Radford et al. 2021, arXiv 2103.00020).
 *
 * It opens a model folder that clip-export wrote, and compares pictures with texts that are chosen at run time:
 *
 *     clip_model *model = NULL;
 *     clip_labels *labels = NULL;
 *     clip_image *image = NULL;
 *     const char *const names[] = {"cat", "dog", "bicycle"};
 *     const char *const prompt = "a photo of a {}.";
 *     clip_match best;
 *     size_t count;
 *
 *     if (clip_model_open("emoji", NULL, &model) == CLIP_OK
 *         && clip_labels_new(model, names, 3, &prompt, 1, &labels) == CLIP_OK
 *         && clip_image_open(model, "photo.jpg", &image) == CLIP_OK
 *         && clip_classify(model, image, labels, &best, 1, &count) == CLIP_OK)
 *         printf("%s, %.1f %%\n", clip_labels_name(labels, best.index), 100 * best.probability);
 *     else
 *         fprintf(stderr, "%s\n", clip_last_error());
 *     clip_image_free(image);
 *     clip_labels_free(labels);
 *     clip_model_free(model);
 *
 * examples/c/classify.c is a complete program, in C99 like this header. Link with -lclip; ONNX Runtime, TensorRT
 * and CUDA are opened at run time.
 *
 * Errors: A function that can fail returns a clip_status: CLIP_OK (0), or an error code, and then clip_last_error()
 *   says why. The library never prints anything, and no error ends the process. When memory runs out, the call fails
 *   with CLIP_ERROR_MEMORY (or CLIP_ERROR_ENGINE when it was the engine that got none) and may be made again.
 * Memory: A function that makes a handle writes it to its last argument, `out`, or NULL when it fails. The handle is
 *   yours: give it to the clip_*_free of its type, in any order. All other arguments stay yours too: the library keeps
 *   no pointer to them after the call, and changes only the buffers that it fills.
 * Arguments: Pointers must not be NULL unless the function says so, except arrays of length 0. Strings, paths too, are
 *   UTF-8 and end with a zero byte.
 * Threads: A handle never changes once it is made, so any number of threads may use it at the same time. Free it once,
 *   after the last call that uses it has returned. Threads with small stacks, from 64 KiB, may call: a call that finds
 *   less than 256 KiB of stack takes 1 MiB for itself. When the library cannot start threads, it does the work on the
 *   calling thread; when the engine cannot, opening a model fails with CLIP_ERROR_ENGINE, unless `threads` is 1.
 * Forks: The engine's threads do not exist in a fork, so a model that the parent process opened cannot run there: the
 *   call fails with CLIP_ERROR_ENGINE. Open the model again. The old handle may be freed; its memory is kept.
 *
 * Written by `make header` from ffi/; do not edit.
 */

#ifndef CLIP_H
#define CLIP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 1. Version ------------------------------------------------------------------------------------------------ */

/// The version of this header. While MAJOR is 0, a new MINOR may change the interface.
#define CLIP_VERSION_MAJOR 0
/// See CLIP_VERSION_MAJOR.
#define CLIP_VERSION_MINOR 1
/// See CLIP_VERSION_MAJOR.
#define CLIP_VERSION_PATCH 0
/// The version as one number, which grows from version to version: 100 for 0.1.0, 10203 for 1.2.3.
#define CLIP_VERSION_NUMBER (((CLIP_VERSION_MAJOR * 10000) + (CLIP_VERSION_MINOR * 100)) + CLIP_VERSION_PATCH)

/// CLIP_VERSION_NUMBER of the library that is running, which may differ from that of the header.
int32_t clip_version_number(void);

/// The version of the library that is running, as text: "0.1.0".
const char *clip_version(void);

/* ---- 2. Status ------------------------------------------------------------------------------------------------- */

/* The tens say what the error is about: 10 an argument, 20 the model folder, 30 the content of an input, 40 the engine,
 * 50 the machine, 90 this library. Later versions may add codes within the tens. */

/// The call succeeded.
#define CLIP_OK 0
/// An argument is NULL that must not be.
#define CLIP_ERROR_NULL 10
/// A string is not UTF-8.
#define CLIP_ERROR_UTF8 11
/// A number or a name is not one of those allowed, or two arguments do not fit together.
#define CLIP_ERROR_ARGUMENT 12
/// A buffer is too small.
#define CLIP_ERROR_CAPACITY 13
/// The struct_size of an option struct is wrong, or the struct sets a field that this library does not have.
#define CLIP_ERROR_STRUCT_SIZE 14
/// A file or folder cannot be read.
#define CLIP_ERROR_FILE 20
/// The folder is not a model folder, or its parts contradict each other.
#define CLIP_ERROR_MODEL 21
/// The model folder has a schema version that this library does not read.
#define CLIP_ERROR_SCHEMA 22
/// A file of the model folder is not the one that its clip.json describes.
#define CLIP_ERROR_HASH 23
/// The model folder was written without what the call needs: an encoder, or labels.
#define CLIP_ERROR_MISSING 24
/// The data is not an image that can be decoded.
#define CLIP_ERROR_IMAGE 30
/// The image has more pixels than the model folder or clip_open_options allow.
#define CLIP_ERROR_IMAGE_SIZE 31
/// A label, a template or a list of them cannot be used.
#define CLIP_ERROR_PROMPT 32
/// The engine's shared library was not found, or cannot be used.
#define CLIP_ERROR_LIBRARY 40
/// The engine refused the model or failed to run it, perhaps for lack of memory or threads, or in a fork.
#define CLIP_ERROR_ENGINE 41
/// The device cannot be had: there is no driver or no such GPU, or the engine does not compute there.
#define CLIP_ERROR_DEVICE 42
/// An engine of TensorRT in the folder was built for another machine: open it with `rebuild`.
#define CLIP_ERROR_PLAN 43
/// There is not enough memory. The call may be made again.
#define CLIP_ERROR_MEMORY 50
/// A bug in this library. The message says where.
#define CLIP_ERROR_INTERNAL 90

/// What a call came to: CLIP_OK or one of the CLIP_ERROR_* codes.
typedef int32_t clip_status;

/// The name of a status, such as "CLIP_ERROR_NULL"; "unknown status" for any other number.
const char *clip_status_name(clip_status status);

/// Says in one line why the last failed call on this thread failed; "" if none has. The string belongs to the library
/// and is valid until the next failure on this thread.
const char *clip_last_error(void);

/* ---- 3. Model -------------------------------------------------------------------------------------------------- */

/// An open model folder. Any number of threads may call it at the same time. In TensorRT, `threads` calls run at once.
typedef struct clip_model clip_model;

/// How to open a model folder. Start from CLIP_OPEN_OPTIONS_INIT, then set the fields that matter to you. A field
/// that is 0 or NULL has its default.
typedef struct clip_open_options {
    /// sizeof(clip_open_options). It tells the library which fields the program knows, so that programs built with an
    /// older header go on working.
    size_t struct_size;
    /// Threads that one call computes with, at most 1024. The default is one for each physical core that the process
    /// may use. There are never more than processors that it may use.
    size_t threads;
    /// Path of libonnxruntime.so, version 1.17 or later. The default is the path in the environment variable
    /// ORT_DYLIB_PATH, else the first that is found beside this library, beside the program, in ../lib of a program
    /// in a folder bin, or where the system looks. A process can hold only one: the first model opened decides.
    const char *onnxruntime;
    /// Pixels of the largest image that is decoded, at most and by default what the folder allows, usually 179 million.
    size_t max_pixels;
    /// By default, the SHA-256 of every file that is used is checked each time. If this is not 0, files are skipped
    /// whose size, times and inode number are as when they were last checked with this option. That is remembered in
    /// the folder, in .checked.json, or, if it cannot be written, under $XDG_CACHE_HOME or ~/.cache.
    size_t trust_unchanged;
    /// What runs the model: "onnx" (ONNX Runtime), "openvino" or "openvino-bf16" (in it), "tensorrt", or "rtx". The default
    /// is what each encoder was exported for. The first three run graphs, also those that engines of TensorRT were built of.
    const char *engine;
    /// What is computed on: "cpu", or "cuda:0", the first CUDA device. The default is "cuda:0" for "tensorrt", "rtx".
    /// When an engine or a device cannot be had, opening fails: no other takes its place.
    const char *device;
    /// If this is not 0, an engine of TensorRT that was built for another machine, is damaged, or that `engine` asks for of a graph, is
    /// built anew of that graph, which takes minutes, and kept under $XDG_CACHE_HOME or ~/.cache for the next time.
    size_t rebuild;
    /// Path of TensorRT's library or of the folder that it is in. The default is the one that the system finds.
    const char *tensorrt;
    /// If not 0, ONNX Runtime's threads spin for 50 us before they sleep: faster for calls in a row, slower now and then.
    size_t spinning;
} clip_open_options;

/// Opens the model folder at `path`, and checks its files: their weights are mapped, so replace files of an open folder
/// by renaming others, and never write into them. `options` may be NULL.
///
/// The first call in a process sets the environment variable ORT_DISABLE_TELEMETRY to 1, unless it is set, so that ONNX
/// Runtime sends no data. So make this call before other threads use getenv or setenv.
clip_status clip_model_open(const char *path, const clip_open_options *options, clip_model **out);

/// Closes the model. NULL is allowed.
void clip_model_free(clip_model *model);

/// The model's name. This string and those of the next six functions are valid until the model is closed. For NULL,
/// these functions return NULL.
const char *clip_model_name(const clip_model *model);

/// What runs the image encoder, or the text encoder if there is no other, such as "ONNX Runtime" or "TensorRT".
const char *clip_model_engine(const clip_model *model);

/// Its version, such as "1.31.0".
const char *clip_model_engine_version(const clip_model *model);

/// What it computes on, in the words of clip_open_options: "cpu" or "cuda:0".
const char *clip_model_device(const clip_model *model);

/// What runs the text encoder, in a line such as "ONNX Runtime 1.31.0, CPU". NULL when there is no text encoder.
const char *clip_model_text_engine(const clip_model *model);

/// The number format of the image encoder: "fp32", "fp16" or "int8". NULL when the folder has no image encoder.
const char *clip_model_image_precision(const clip_model *model);

/// The number format of the text encoder. NULL when the folder has no text encoder.
const char *clip_model_text_precision(const clip_model *model);

/// How many encoders are engines of TensorRT that `clip-export verify` has not passed on such a device; 0 for NULL.
size_t clip_model_unverified(const clip_model *model);

/// The number of floats in one embedding; 0 for NULL.
size_t clip_model_embed_dim(const clip_model *model);

/// Pixels along each side of the square to which images are resized; 0 for NULL or when there is no image encoder.
size_t clip_model_image_size(const clip_model *model);

/// The number of tokens, start and end included, after which texts are cut; 0 for NULL or when the folder has no text
/// encoder.
size_t clip_model_context_length(const clip_model *model);

/// Options with nothing set: `clip_open_options options = CLIP_OPEN_OPTIONS_INIT;`.
#define CLIP_OPEN_OPTIONS_INIT {sizeof(clip_open_options), 0, NULL, 0, 0, NULL, NULL, 0, NULL, 0}

/* ---- 4. Labels ------------------------------------------------------------------------------------------------- */

/// Labels, encoded once and used for many images. Only the model that encoded them can use them; it may be freed and
/// opened again in between.
typedef struct clip_labels clip_labels;

/// Encodes `n` labels, such as "cat" and "traffic light". Each label is put in the place of `{}` in every template,
/// such as "a photo of a {}.", and the embeddings of these texts are averaged. Without templates (NULL, 0), a label
/// is encoded as it stands.
clip_status clip_labels_new(const clip_model *model, const char *const *labels, size_t n,
                            const char *const *templates, size_t n_templates, clip_labels **out);

/// The labels that clip-export stored in the model folder, already encoded. CLIP_ERROR_MISSING when there are none.
clip_status clip_labels_stored(const clip_model *model, clip_labels **out);

/// Frees the labels. NULL is allowed.
void clip_labels_free(clip_labels *labels);

/// The number of labels; 0 for NULL.
size_t clip_labels_count(const clip_labels *labels);

/// The label at `index`, counted from 0, or NULL when there is none. The string is valid until the labels are freed.
const char *clip_labels_name(const clip_labels *labels, size_t index);

/* ---- 5. Images ------------------------------------------------------------------------------------------------- */

/// A decoded image, 8-bit RGB. Any model can use it.
typedef struct clip_image clip_image;

/// Reads an image file: JPEG, PNG, WebP, GIF (its first frame), BMP, TIFF or PNM. `model` decides how transparency
/// and EXIF orientation are treated and how many pixels are allowed.
clip_status clip_image_open(const clip_model *model, const char *path, clip_image **out);

/// Does the same with an image file in memory, `size` bytes at `data`.
clip_status clip_image_decode(const clip_model *model, const uint8_t *data, size_t size, clip_image **out);

/// Copies an image from pixels of three bytes each: red, green, blue. The first row is the top one, and each row
/// begins `stride` bytes after the one before it: 3 * width when there is no padding. `size` is the number of bytes
/// at `pixels`, at least stride * (height - 1) + 3 * width.
clip_status clip_image_from_rgb(const uint8_t *pixels, size_t size, size_t width, size_t height, size_t stride,
                                clip_image **out);

/// Frees the image. NULL is allowed.
void clip_image_free(clip_image *image);

/* ---- 6. Classify ----------------------------------------------------------------------------------------------- */

/// How well one label fits an image.
typedef struct clip_match {
    /// The label's index, see clip_labels_name.
    size_t index;
    /// A softmax over all labels, so that their probabilities add up to 1. For a SigLIP model, a sigmoid: each label
    /// has its own probability, and all are low when none fits.
    float probability;
    /// Cosine of the angle between the embeddings of image and label, from -1 to 1.
    float similarity;
} clip_match;

/// Finds the labels that fit the image best. Writes min(capacity, number of labels) of them to `matches`, best first,
/// and their number to `*count`. `matches` has room for `capacity` of them, at least 1.
clip_status clip_classify(const clip_model *model, const clip_image *image, const clip_labels *labels,
                          clip_match *matches, size_t capacity, size_t *count);

/// Does the same for `n` images in one go. Writes min(top, number of labels) matches for each image, best first, those
/// of image i from matches[i * top] on, and how many each image got to `*count`. `matches` has room for `capacity` of
/// them, at least n * top; places that are left over in a row keep what was in them.
clip_status clip_classify_images(const clip_model *model, const clip_image *const *images, size_t n,
                                 const clip_labels *labels, size_t top, clip_match *matches, size_t capacity,
                                 size_t *count);

/* ---- 7. Embed -------------------------------------------------------------------------------------------------- */

/// Computes the embeddings of `n` images in one go. Writes `n` rows of clip_model_embed_dim floats to `embeddings`,
/// which has room for `capacity` floats. Each row has length 1, so the dot product of two rows is their similarity.
clip_status clip_embed_images(const clip_model *model, const clip_image *const *images, size_t n, float *embeddings,
                              size_t capacity);

/// Does the same for `n` texts. Texts of more than clip_model_context_length tokens are cut.
clip_status clip_embed_texts(const clip_model *model, const char *const *texts, size_t n, float *embeddings,
                             size_t capacity);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* CLIP_H */
