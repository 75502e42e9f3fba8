/* libclip: what a picture shows, in words chosen at run time (CLIP, Radford et al. 2021, arXiv 2103.00020).
 *
 * Opens a model folder written by clip-export, and compares pictures with texts:
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
 * examples/c/classify.c is a complete program. Link with -lclip; libonnxruntime.so is opened at run time.
 *
 * Rules for every function:
 * - What can fail returns a clip_status: CLIP_OK (0) or an error, about which clip_last_error() tells more.
 *   Nothing is ever printed, and no error ends the process.
 * - Memory that cannot be had is CLIP_ERROR_MEMORY, or CLIP_ERROR_ENGINE where ONNX Runtime lacked it; the call may be
 *   made again.
 * - Handles come in through the last argument, `out`, which is set to NULL when the call fails. They are yours:
 *   give each to its clip_*_free, in any order.
 * - Arguments are yours as well. Nothing you pass is kept or changed after the call, except what it fills in.
 * - Strings end with a zero and are UTF-8, paths too.
 * - A pointer must not be NULL unless its function says so.
 * - Threads: see clip_model. Stacks of 64 KiB are enough: a call that finds less than 256 KiB left takes a stack of
 *   1 MiB for itself. Where this library's threads cannot be started, the caller's does their work; where ONNX Runtime
 *   cannot start its own, opening a model is CLIP_ERROR_ENGINE, unless `threads` is 1.
 * - In a fork, a model of the parent's process cannot run, since ONNX Runtime's threads are not there: it is refused with
 *   CLIP_ERROR_ENGINE. Open it again; freeing the old handle is fine, and keeps its memory.
 *
 * Written by `make header` from ffi/; do not edit.
 */


#ifndef CLIP_H
#define CLIP_H

#include <stddef.h>
#include <stdint.h>

/// Version of this header, `MAJOR.MINOR.PATCH`. While MAJOR is 0, a new MINOR may change the interface.
#define CLIP_VERSION_MAJOR 0

/// See CLIP_VERSION_MAJOR.
#define CLIP_VERSION_MINOR 1

/// See CLIP_VERSION_MAJOR.
#define CLIP_VERSION_PATCH 0

/// Status codes. The tens say whose affair it is: 10 an argument, 20 the model folder, 30 an input's content,
/// 40 the engine, 50 the machine, 90 this library. More may come within the tens.
#define CLIP_OK 0

/// A pointer is NULL that must not be.
#define CLIP_ERROR_NULL 10

/// A string is not UTF-8.
#define CLIP_ERROR_UTF8 11

/// A number is out of range, or two arguments do not fit together.
#define CLIP_ERROR_ARGUMENT 12

/// A buffer is too small.
#define CLIP_ERROR_CAPACITY 13

/// A struct_size is not one this library knows.
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

/// The bytes are no image that can be decoded.
#define CLIP_ERROR_IMAGE 30

/// The image has more pixels than the model folder or clip_open_options allow.
#define CLIP_ERROR_IMAGE_SIZE 31

/// A label, a template or a list of them cannot be used.
#define CLIP_ERROR_PROMPT 32

/// The shared library of ONNX Runtime was not found or cannot be used.
#define CLIP_ERROR_LIBRARY 40

/// ONNX Runtime refused the model or failed to run it, for lack of memory or threads perhaps, or the process is a fork.
#define CLIP_ERROR_ENGINE 41

/// There is not enough memory. The process goes on, and the call may be made again.
#define CLIP_ERROR_MEMORY 50

/// A bug of this library; the message says where. The process goes on.
#define CLIP_ERROR_INTERNAL 90

/// A decoded image, 8-bit RGB. Every model may use it, whichever made it.
typedef struct clip_image clip_image;

/// Labels, encoded once and used for many images. They belong to the model that encoded them.
typedef struct clip_labels clip_labels;

/// An open model folder. Threads: this and the other handles never change once they are made, so any number of
/// threads may use one at the same time. Calls that run one model take turns, image and text encoder apart, since each
/// uses all of the model's threads; to serve many small requests side by side, open the folder several times with
/// `threads` 1. Free a handle once, after the last call that uses it has returned; handles may be freed in any order.
typedef struct clip_model clip_model;

/// What a call came to: CLIP_OK or one of the CLIP_ERROR_* above.
typedef int32_t clip_status;

/// How to open a model folder. Zero it (`= {0}`), set struct_size, then the fields that matter to you.
typedef struct {
    /// sizeof(clip_open_options), so that programs built with an older header go on working.
    size_t struct_size;
    /// Threads that one call computes with; 0 for one for each physical core that the process may use. No more are
    /// started than there are processors that it may use; above 1024 is an error.
    size_t threads;
    /// Path of libonnxruntime.so, version 1.17 or later; NULL to look in the environment variable ORT_DYLIB_PATH,
    /// beside this library and the program, in ../lib of a program in a folder bin, and where the system looks.
    /// A process has one: the first model that is opened decides.
    const char *onnxruntime;
    /// Pixels of the largest image that is decoded, where that is fewer than the model folder allows; 0 for what the
    /// folder allows, usually 179 million.
    size_t max_pixels;
    /// Not 0 to hash only files that changed since they were last found whole with this option: another size, time or
    /// inode number. What was found is kept in the folder as .checked.json, or, where that cannot be written, under
    /// $XDG_CACHE_HOME or ~/.cache. 0 hashes all files each time.
    size_t trust_unchanged;
} clip_open_options;

/// How well one label fits an image.
typedef struct {
    /// The label's place in the set, see clip_labels_name.
    size_t index;
    /// Softmax over the whole set: the probabilities of all labels add up to 1. Of a SigLIP model, a sigmoid: each label has
    /// its own, and all are low where none fits.
    float probability;
    /// Cosine of the angle between the embeddings of image and label, -1 to 1.
    float similarity;
} clip_match;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The version of the library that is running, "0.1.0"; compare it with CLIP_VERSION_*.
const char *clip_version(void);

/// The name of a code: "CLIP_ERROR_NULL". "unknown status" for any other number.
const char *clip_status_name(clip_status status);

/// Why the last call failed that failed on this thread, in one line without a full stop; "" when none has. The
/// text belongs to the library and stands until the next failure on this thread.
const char *clip_last_error(void);

/// Opens the folder at `path`, written by clip-export. Checks the hashes of its files. `options` may be NULL.
/// The first call of a process also opens ONNX Runtime and, unless it is set, sets ORT_DISABLE_TELEMETRY=1 in the
/// environment, so that ONNX Runtime sends nothing: make it before other threads use setenv or getenv.
clip_status clip_model_open(const char *path,
                            const clip_open_options *options,
                            clip_model **out);

/// Closes the model. NULL is fine. In a fork of the process that opened it, its memory is kept.
void clip_model_free(clip_model *model);

/// Floats in one embedding. 0 for NULL.
size_t clip_model_embed_dim(const clip_model *model);

/// Width and height, in pixels, of the square that the model sees. Images of any size are resized to it. 0 for NULL
/// and where there is no image encoder.
size_t clip_model_image_size(const clip_model *model);

/// Tokens, start and end included, after which texts are cut. 0 for NULL and where there is no text encoder.
size_t clip_model_context_length(const clip_model *model);

/// Encodes `n` labels ("cat", "traffic light"). Each is put into the `{}` of every template ("a photo of a {}."),
/// and the embeddings of these texts are averaged. Without templates (NULL, 0) a label is the whole text.
clip_status clip_labels_new(const clip_model *model,
                            const char *const *labels,
                            size_t n,
                            const char *const *templates,
                            size_t n_templates,
                            clip_labels **out);

/// The labels that clip-export stored in the model folder (--labels), encoded already; CLIP_ERROR_MISSING when it has
/// none.
clip_status clip_labels_stored(const clip_model *model,
                               clip_labels **out);

/// Frees the label set. NULL is fine.
void clip_labels_free(clip_labels *labels);

/// How many labels there are. 0 for NULL.
size_t clip_labels_count(const clip_labels *labels);

/// Label number `index`, which stands until the set is freed. NULL when there is none.
const char *clip_labels_name(const clip_labels *labels, size_t index);

/// Reads an image file: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF or PNM. `model` says how transparency and EXIF
/// orientation are treated and how many pixels are allowed.
clip_status clip_image_open(const clip_model *model,
                            const char *path,
                            clip_image **out);

/// The same from the `size` bytes of an image file in memory. They are not needed after the call.
clip_status clip_image_decode(const clip_model *model, const uint8_t *data, size_t size, clip_image **out);

/// Copies an image from pixels: bytes R, G, B; rows from the top, each `stride` bytes after the one before
/// (3 * width when they lie close). `size` is how many bytes may be read, at least
/// stride * (height - 1) + 3 * width.
clip_status clip_image_from_rgb(const uint8_t *pixels,
                                size_t size,
                                size_t width,
                                size_t height,
                                size_t stride,
                                clip_image **out);

/// Frees the image. NULL is fine.
void clip_image_free(clip_image *image);

/// The labels that fit the image best, best first. Writes `*count` = min(capacity, labels in the set) of them to
/// `matches`, which has room for `capacity` of them (at least 1).
clip_status clip_classify(const clip_model *model,
                          const clip_image *image,
                          const clip_labels *labels,
                          clip_match *matches,
                          size_t capacity,
                          size_t *count);

/// Computes the embeddings of `n` images in one go: `n` rows of clip_model_embed_dim floats, each of length 1, to
/// `embeddings`, which has room for `capacity` floats. The dot product of two rows is their similarity.
clip_status clip_embed_images(const clip_model *model,
                              const clip_image *const *images,
                              size_t n,
                              float *embeddings,
                              size_t capacity);

/// The same of `n` texts. Texts that are too long are cut, see clip_model_context_length.
clip_status clip_embed_texts(const clip_model *model,
                             const char *const *texts,
                             size_t n,
                             float *embeddings,
                             size_t capacity);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CLIP_H */
