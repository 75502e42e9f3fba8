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
 * examples/c/classify.c is a complete program, in C99 like this header, and clip.hpp is the same for C++17. Link with
 * -lclip; ONNX Runtime, TensorRT and CUDA are opened at run time.
 *
 * Errors: A function that can fail returns a clip_status: CLIP_OK (0), or an error code, and then clip_last_error()
 *   says why. The library never prints anything, and no error ends the process. When memory runs out, the call fails
 *   with CLIP_ERROR_MEMORY (or CLIP_ERROR_ENGINE when it was the engine that got none) and may be made again.
 * Memory: A function that makes a handle writes it to its last argument, `out`, or NULL when it fails. The handle is
 *   yours: give it to the clip_*_free of its type, in any order. All other arguments stay yours too: the library keeps
 *   no pointer to them after the call, and changes only the buffers that it fills.
 * Arguments: Pointers must not be NULL unless the function says so, except arrays of length 0. Strings, paths too, are
 *   UTF-8 and end with a zero byte.
 * Structs: Those with an _INIT start from it; of the others zeros are a start, `= {0}` in C and `{}` in C++ (where
 *   compilers warn of `= {0}`).
 * Threads: A handle never changes once it is made, or, if it is a stream, is made for that, so any number of threads
 *   may use it at the same time. Free it once, after the last call that uses it has returned; labels can have several
 *   owners, see clip_labels_retain. Threads with small stacks, from 64 KiB, may call: a call that finds less than 256
 *   KiB of stack takes 1 MiB for itself. When the library cannot start threads, it does the work on the calling
 *   thread; when the engine cannot, opening a model fails with CLIP_ERROR_ENGINE, unless `threads` is 1.
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
/// A frame was dropped, since there was no room for it or a newer one needed it.
#define CLIP_DROPPED 1
/// There was no outcome within the time.
#define CLIP_TIMEOUT 2
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
/// The file is not a label set, or another model encoded its labels.
#define CLIP_ERROR_LABELS 25
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

/// What a call came to: CLIP_OK, one of the CLIP_ERROR_* codes, or a code below 10, which is no error.
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
    /// If not 0, large JPEGs are decoded at a part of their size: faster, with embeddings that are not quite those of Pillow's pixels.
    /// clip_image_open and clip_image_decode then give images of the model's size.
    size_t fast_decode;
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
#define CLIP_OPEN_OPTIONS_INIT {sizeof(clip_open_options), 0, NULL, 0, 0, NULL, NULL, 0, NULL, 0, 0}

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

/// Writes the labels to the file `path`, whole or not at all: their names and embeddings, and which model encoded
/// them. A file that is there is replaced.
clip_status clip_labels_save(const clip_labels *labels, const char *path);

/// Reads a file that clip_labels_save or `clip-run labels` wrote, which takes no text encoder. CLIP_ERROR_LABELS when it
/// is no such file, or when another model encoded the labels.
clip_status clip_labels_load(const clip_model *model, const char *path, clip_labels **out);

/// Frees the labels; if clip_labels_retain was called, the last of so many calls does. NULL is allowed.
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

/* ---- 8. None of the labels ------------------------------------------------------------------------------------- */

/// No label: the image shows none of them.
#define CLIP_NONE ((size_t)-1)

/// When an image shows none of the labels. Start from CLIP_RULE_INIT. A field that is 0 sets no threshold.
typedef struct clip_rule {
    /// sizeof(clip_rule).
    size_t struct_size;
    /// The least probability of a label, up to 1.
    float min_probability;
    /// The least similarity of a label, from -1 to 1. A softmax gives all of its probability to the labels that there
    /// are, also where none fits; there, this or a background says more.
    float min_similarity;
} clip_rule;

/// Writes the index of the label that an image shows to `*index`: that of the first, best of its `count` matches, or
/// CLIP_NONE when that is one of the background, is below a threshold of `rule`, or when there are no matches. `rule`
/// may be NULL.
clip_status clip_decide(const clip_labels *labels, const clip_match *matches, size_t count, const clip_rule *rule,
                        size_t *index);

/// A rule without thresholds: `clip_rule rule = CLIP_RULE_INIT;`.
#define CLIP_RULE_INIT {sizeof(clip_rule), 0, 0}

/* ---- 9. More about labels -------------------------------------------------------------------------------------- */

/// Adds an owner: the labels are freed by as many calls of clip_labels_free as there are owners. So one thread can
/// replace and free the labels that are in use while another, with an ownership of its own, still classifies with them.
/// Returns `labels`.
clip_labels *clip_labels_retain(const clip_labels *labels);

/// Copies the embeddings of the labels, clip_labels_count rows of clip_model_embed_dim floats, each of length 1, to
/// `embeddings`, which has room for `capacity` floats.
clip_status clip_labels_embeddings(const clip_labels *labels, float *embeddings, size_t capacity);

/// Makes labels of embeddings that are there already, from the same model in another program, for example: `n` rows of
/// clip_model_embed_dim floats. `size` is the number of floats. Rows need not have length 1: they are scaled to it.
/// CLIP_ERROR_ARGUMENT for a row that is zero or not finite.
clip_status clip_labels_from_embeddings(const clip_model *model, const char *const *labels, size_t n,
                                        const float *embeddings, size_t size, clip_labels **out);

/// Makes labels of pictures ("like this one"): `labels[i]` is what `images[i]` shows. The embeddings of images with the same
/// label are averaged; labels are in the order in which they first occur. Images are more similar to each other than to
/// texts whatever they show, so compare such labels with each other, or by a threshold on the similarity.
clip_status clip_labels_from_images(const clip_model *model, const char *const *labels,
                                    const clip_image *const *images, size_t n, clip_labels **out);

/// The factor on similarities in the model's probabilities; 0 for NULL.
float clip_model_logit_scale(const clip_model *model);

/// The summand behind it: a label's probability is the sigmoid of scale * similarity + bias. NaN when the model has none,
/// as all but SigLIP: then probabilities are the softmax of scale * similarity over all labels. NaN for NULL.
float clip_model_logit_bias(const clip_model *model);

/// Gives the same labels probabilities that are made with these numbers in place of the model's. With a calibrated
/// `scale`, a label that has 80 % is right in 80 of 100 cases: `clip-run calibrate` finds it. With a `bias` that is not
/// NaN, each label has a probability of its own; a model without one needs both from `clip-run calibrate --independent`.
clip_status clip_labels_with_logits(const clip_labels *labels, float scale, float bias, clip_labels **out);

/// The scale that the labels have in place of the model's; 0 when they have none, and for NULL.
float clip_labels_logit_scale(const clip_labels *labels);

/// The bias that belongs to it; NaN when there is none, and for NULL.
float clip_labels_logit_bias(const clip_labels *labels);

/// Puts a background behind the labels: what images may show that nobody asked for, such as "a street". Its labels
/// come last, and take their share of the probability; clip_decide takes them for none of the labels.
clip_status clip_labels_with_background(const clip_labels *labels, const clip_labels *background, clip_labels **out);

/// How many of the labels, the last ones, are background; 0 for NULL.
size_t clip_labels_background(const clip_labels *labels);

/// What clip_classify_images does, for `n` embeddings of images that were computed before. `size` is the number of
/// floats, n * clip_model_embed_dim. Rows need not have length 1.
clip_status clip_classify_embeddings(const clip_model *model, const float *embeddings, size_t size, size_t n,
                                     const clip_labels *labels, size_t top, clip_match *matches, size_t capacity,
                                     size_t *count);

/* ---- 10. Frames ------------------------------------------------------------------------------------------------ */

/// Red, green, blue: three bytes a pixel.
#define CLIP_FORMAT_RGB 1
/// Blue, green, red, as OpenCV has it.
#define CLIP_FORMAT_BGR 2
/// Red, green, blue and a fourth byte, which is not looked at.
#define CLIP_FORMAT_RGBA 3
/// Blue, green, red and a fourth byte, which is not looked at.
#define CLIP_FORMAT_BGRA 4
/// Red, green and blue, each in a plane of its own.
#define CLIP_FORMAT_RGBP 5
/// Brightness, 8 bits.
#define CLIP_FORMAT_GRAY8 6
/// Brightness, 16 bits in the machine's byte order; see black and white in clip_frame.
#define CLIP_FORMAT_GRAY16 7
/// 4:2:0: a plane of Y, and one in which U and V take turns.
#define CLIP_FORMAT_NV12 8
/// 4:2:0: a plane of Y, and one in which V and U take turns.
#define CLIP_FORMAT_NV21 9
/// 4:2:0: planes of Y, U and V. The planes of YV12 are given in this order.
#define CLIP_FORMAT_I420 10
/// 4:2:2, one plane: Y U Y V, as YUY2.
#define CLIP_FORMAT_YUYV 11
/// 4:2:2, one plane: U Y V Y.
#define CLIP_FORMAT_UYVY 12
/// ITU-R BT.601: standard definition, JPEG, most webcams.
#define CLIP_MATRIX_BT601 1
/// ITU-R BT.709: high definition.
#define CLIP_MATRIX_BT709 2
/// ITU-R BT.2020, non-constant luminance: ultra-high definition.
#define CLIP_MATRIX_BT2020 3
/// Y from 16 to 235, U and V from 16 to 240.
#define CLIP_RANGE_LIMITED 1
/// Y, U and V from 0 to 255.
#define CLIP_RANGE_FULL 2
/// The planes are at the addresses in `planes`.
#define CLIP_MEMORY_HOST 0

/// The planes are at the addresses in `planes`, of the CUDA device `device`, written by work in the CUDA stream
/// `handle`.
#define CLIP_MEMORY_CUDA 1
/// The planes are in buffers that have file descriptors: dmabufs of Linux, or files in memory.
#define CLIP_MEMORY_DMABUF 2
/// The planes are in buffer `index` of the NvBufSurface `handle`, of NVIDIA's multimedia library.
#define CLIP_MEMORY_NVBUFSURFACE 3

/// A frame as a camera delivers it. Start from CLIP_FRAME_INIT, then set format, width, height and planes. Nothing of
/// it is copied; a call reads the planes until it returns.
typedef struct clip_frame {
    /// sizeof(clip_frame).
    size_t struct_size;
    /// Width, pixels.
    size_t width;
    /// Height, pixels.
    size_t height;
    /// Where the planes begin, with their top rows; NULL for those that the format does not have.
    const uint8_t *planes[3];
    /// Bytes from a row to the next, for each plane. 0 for rows without padding.
    size_t strides[3];
    /// The part that counts, pixels of the frame as it lies in memory. All 0 for the whole frame.
    size_t crop_left;
    /// See crop_left.
    size_t crop_top;
    /// See crop_left.
    size_t crop_width;
    /// See crop_left.
    size_t crop_height;
    /// One of CLIP_FORMAT_*.
    int32_t format;
    /// One of CLIP_MATRIX_*. 0 for what is usual: BT.601 of up to 576 rows, else BT.709.
    int32_t matrix;
    /// One of CLIP_RANGE_*. 0 for the limited one.
    int32_t range;
    /// How the part is turned to stand upright, in the numbers of Exif: 0 and 1 as it is, 2 mirrored sideways, 3 by
    /// half, 4 mirrored up and down, 5 transposed, 6 clockwise by a quarter, 7 mirrored on the other diagonal, 8
    /// counterclockwise by a quarter.
    int32_t orientation;
    /// Of CLIP_FORMAT_GRAY16, the number that becomes black, and the one that becomes white; brightness grows evenly
    /// between them. Both 0 for 0 and 65535.
    int32_t black;
    /// See black.
    int32_t white;
    /// One of CLIP_MEMORY_*. A GPU reads a frame where it lies if the model folder was exported for such frames
    /// (`clip-export --camera`) and runs there; all other frames come to the processor, those of a GPU as a copy.
    int32_t memory;
    /// The number of the CUDA device.
    int32_t device;
    /// The file descriptor of each plane's buffer; 0 for that of the plane before.
    int32_t fds[3];
    /// The buffer's place in its NvBufSurface.
    int32_t index;
    /// Where each plane begins in its file descriptor's buffer, bytes.
    size_t offsets[3];
    /// The CUDA stream, NULL for the default one; or the NvBufSurface, which has to live until
    /// clip_model_forget_buffers.
    void *handle;
} clip_frame;

/// Finds the labels that fit a frame best, like clip_classify. Once it was called as often at the same time with a
/// frame and labels of that size, this library allocates nothing.
clip_status clip_classify_frame(const clip_model *model, const clip_frame *frame, const clip_labels *labels,
                                clip_match *matches, size_t capacity, size_t *count);

/// Does the same for `n` frames in one go, like clip_classify_images.
clip_status clip_classify_frames(const clip_model *model, const clip_frame *const *frames, size_t n,
                                 const clip_labels *labels, size_t top, clip_match *matches, size_t capacity,
                                 size_t *count);

/// Describes a decoded image as a frame, so that pictures go where frames do: into a stream, for example. Start `*frame`
/// from CLIP_FRAME_INIT. Its plane is the image's own, and valid as long as that.
clip_status clip_image_frame(const clip_image *image, clip_frame *frame);

/// Lets go what the model keeps of buffers that are no pointers: mappings of dmabufs and NvBufSurfaces, which are kept
/// because a camera's buffers come round. To be called before an NvBufSurface is destroyed that was in a frame. NULL
/// is allowed.
void clip_model_forget_buffers(const clip_model *model);

/// Computes the embeddings of `n` frames in one go, like clip_embed_images.
clip_status clip_embed_frames(const clip_model *model, const clip_frame *const *frames, size_t n, float *embeddings,
                              size_t capacity);

/// A frame with nothing set: `clip_frame frame = CLIP_FRAME_INIT;`.
#define CLIP_FRAME_INIT \
    {sizeof(clip_frame), 0, 0, {NULL, NULL, NULL}, {0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0, 0, 0}, 0, {0, 0, 0}, NULL}

/* ---- 11. Streams ----------------------------------------------------------------------------------------------- */

/// The frame that waits longest goes for a new one. For cameras.
#define CLIP_DROP_OLDEST 0
/// The new frame goes: clip_stream_push returns CLIP_DROPPED.
#define CLIP_DROP_NEWEST 1
/// clip_stream_push waits for room. For files, of which no frame may be missed.
#define CLIP_BLOCK 2

/// One camera's frames, which are classified in the order in which they are pushed. All streams of a model share a
/// thread that runs it for them in turn, so that none starves; it sleeps while no frame waits. Any number of threads
/// may push. A stream goes on when its model is freed.
typedef struct clip_stream clip_stream;

/// What was found in a frame, or in one of its regions.
typedef struct clip_item {
    /// The region's track; 0 where the frame was pushed as a whole.
    uint64_t track;
    /// The label that is shown, after as many frames as `hold` says, or CLIP_NONE.
    size_t label;
    /// Its name, or NULL.
    const char *name;
    /// Not 0 where that is another label than in the track's outcome before.
    int32_t changed;
    /// Not 0 where the model has seen this frame's region; 0 where what was found before is repeated.
    int32_t fresh;
    /// The best labels, smoothed, best first.
    const clip_match *matches;
    /// How many they are; 0 where the model has never seen the track, since its first frames were dropped.
    size_t count;
    /// The embedding, smoothed, of clip_model_embed_dim floats; NULL where `count` is 0.
    const float *embedding;
} clip_item;

/// What a frame came to. Each frame that clip_stream_push took has one, in the order in which they were taken.
typedef struct clip_outcome {
    /// What the frame was pushed with.
    uint64_t tag;
    /// The number of the frame in its stream, from 0.
    uint64_t sequence;
    /// From the push of the frame to its outcome, in nanoseconds.
    uint64_t latency;
    /// CLIP_OK, CLIP_DROPPED, or the error with which the engine failed.
    clip_status status;
    /// Why it failed, or "".
    const char *error;
    /// The labels that the frame was compared with, NULL unless `status` is CLIP_OK. They are the stream's, see
    /// clip_labels_retain.
    const clip_labels *labels;
    /// How many items there are: 1 of a whole frame, else one for each region; 0 unless `status` is CLIP_OK.
    size_t count;
    /// See clip_outcome_item.
    const clip_item *items;
} clip_outcome;

/// Is told of an outcome, which is valid until it returns, in a thread of the library, for which all streams of the
/// model wait meanwhile; of frames that clip_stream_free gives back, in the thread that called that. It may call whatever
/// it wants, the functions of streams too, but clip_stream_flush and a push that would wait are refused there.
typedef void (*clip_outcome_function)(void *user, const clip_outcome *outcome);

/// How a stream treats its frames. Start from CLIP_STREAM_OPTIONS_INIT, then set the fields that matter to you. A
/// field that is 0 or NULL has its default.
typedef struct clip_stream_options {
    /// sizeof(clip_stream_options).
    size_t struct_size;
    /// Frames that wait at most, besides those that are run, up to 1024. The default is 2.
    size_t capacity;
    /// What happens to a frame when as many wait: CLIP_DROP_OLDEST, CLIP_DROP_NEWEST or CLIP_BLOCK.
    int32_t when_full;
    /// The share of the past in what is compared with the labels, from 0, none, to below 1: an exponential average of a
    /// track's embeddings. At 0.8 a frame's share halves in three frames.
    float smoothing;
    /// Frames in a row in which another label, or none, has to be found until that is what is shown. The default is 1.
    size_t hold;
    /// When a frame shows none of the labels. NULL for CLIP_RULE_INIT.
    const clip_rule *rule;
    /// How many labels an outcome tells. The default is 5.
    size_t top;
    /// Of how many frames that a track is in, the model sees one. The default is 1.
    size_t refresh;
    /// Frames after which a track is forgotten that was in none of them. The default is 30.
    size_t forget;
    /// What is told of outcomes. NULL for clip_stream_poll to be called instead.
    clip_outcome_function outcome;
    /// What that function is given with each.
    void *user;
} clip_stream_options;

/// A part of a frame, pixels of the frame as it lies in memory.
typedef struct clip_region {
    /// What is the same thing in several frames has the same number, as trackers give it; in a frame, each number once.
    uint64_t track;
    /// Columns to the left of it.
    size_t left;
    /// Rows above it.
    size_t top;
    /// Its width, at least 1.
    size_t width;
    /// Its height, at least 1.
    size_t height;
} clip_region;

/// How many frames a stream had so far.
typedef struct clip_stream_counts {
    /// Frames that were pushed.
    uint64_t pushed;
    /// Frames that were classified.
    uint64_t done;
    /// Frames that were dropped, as they were pushed or later.
    uint64_t dropped;
    /// Frames on which the engine failed.
    uint64_t failed;
} clip_stream_counts;

/// Opens a stream of frames, to be compared with `labels`. `options` may be NULL.
clip_status clip_stream_open(const clip_model *model, const clip_labels *labels, const clip_stream_options *options,
                             clip_stream **out);

/// Ends the stream: waits for the frame that runs, and gives the others back as dropped. Not to be called in its own
/// outcome function. NULL is allowed.
void clip_stream_free(clip_stream *stream);

/// Takes a frame, whose outcome will have the `tag`: a number, a time stamp or an address, whatever tells you which
/// frame it was. The frame is resized before the function returns; its memory is yours again then. Returns
/// CLIP_DROPPED where there was no room for it; it will have no outcome.
clip_status clip_stream_push(const clip_stream *stream, const clip_frame *frame, uint64_t tag);

/// Does the same for parts of a frame, such as a detector's boxes. Each becomes an item of the outcome, in their
/// order. Regions are seen instead of the frame's crop, and turned as it says.
clip_status clip_stream_push_regions(const clip_stream *stream, const clip_frame *frame, const clip_region *regions,
                                     size_t n, uint64_t tag);

/// Writes the next outcome to `*out`, of a stream whose options name no function. Waits for it up to `timeout_ms`
/// milliseconds; then it returns CLIP_TIMEOUT and `*out` is NULL. The outcome is valid until the next call for this
/// stream, so one thread polls. While 256 outcomes are unread, a push waits with CLIP_BLOCK, and else returns CLIP_DROPPED.
clip_status clip_stream_poll(const clip_stream *stream, uint32_t timeout_ms, const clip_outcome **out);

/// The item at `index` of an outcome, counted from 0, or NULL when there is none. It is valid as long as the outcome.
const clip_item *clip_outcome_item(const clip_outcome *outcome, size_t index);

/// Compares frames with other labels from now on, also those that wait. Outcomes say which labels they are about.
clip_status clip_stream_set_labels(const clip_stream *stream, const clip_labels *labels);

/// Waits until every frame that was pushed before has its outcome.
clip_status clip_stream_flush(const clip_stream *stream);

/// Writes to `*counts` how many frames the stream had so far.
clip_status clip_stream_count(const clip_stream *stream, clip_stream_counts *counts);

/// Options with nothing set: `clip_stream_options options = CLIP_STREAM_OPTIONS_INIT;`.
#define CLIP_STREAM_OPTIONS_INIT {sizeof(clip_stream_options), 0, 0, 0, 0, NULL, 0, 0, 0, NULL, NULL}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* CLIP_H */
