/* libjpeg-turbo for jpeg.rs: a picture in memory to packed pixels. What is wrong with a picture comes back as a
 * status and a message, by longjmp, as libjpeg asks for; nothing is printed and no Rust frame is jumped over. */

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* As `Status` in jpeg.rs. */
enum { DECODED, DAMAGED, ENDS_EARLY, NO_MEMORY };

/* As `Colour` in jpeg.rs. */
enum { CONVERTED, AS_STORED, FROM_YCBCR, PLAIN_YCBCR };

/* Each scan goes over the whole picture; encoders write at most a few dozen. */
#define MAX_SCANS 500

struct clip_jpeg {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    int status;
    char message[JMSG_LENGTH_MAX];
};

static struct clip_jpeg *decoder(j_common_ptr jpeg) { return jpeg->client_data; }

static void fail(struct clip_jpeg *d, int status, const char *message) {
    d->status = status;
    snprintf(d->message, sizeof d->message, "%s", message);
    longjmp(d->failed, 1);
}

static void error_exit(j_common_ptr jpeg) {
    char message[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    fail(decoder(jpeg), jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? NO_MEMORY : DAMAGED, message);
}

/* Warnings, which Pillow ignores, too. */
static void emit_message(j_common_ptr jpeg, int level) {
    (void)jpeg;
    (void)level;
}

static void output_message(j_common_ptr jpeg) { (void)jpeg; }

static void nothing(j_decompress_ptr jpeg) { (void)jpeg; }

/* All data is there from the start. */
static boolean fill_input_buffer(j_decompress_ptr jpeg) {
    fail(decoder((j_common_ptr)jpeg), ENDS_EARLY, "the data ends early");
    return FALSE;
}

static void skip_input_data(j_decompress_ptr jpeg, long count) {
    if (count <= 0) return;
    if ((size_t)count > jpeg->src->bytes_in_buffer) fill_input_buffer(jpeg);
    jpeg->src->next_input_byte += count;
    jpeg->src->bytes_in_buffer -= (size_t)count;
}

static void progress_monitor(j_common_ptr jpeg) {
    if (((j_decompress_ptr)jpeg)->input_scan_number > MAX_SCANS) fail(decoder(jpeg), DAMAGED, "too many scans");
}

void clip_jpeg_close(struct clip_jpeg *d) {
    jpeg_destroy_decompress(&d->jpeg);
    free(d);
}

/* Reads the header; `data` must live until `clip_jpeg_close`. Null if there is no memory for the decoder. */
struct clip_jpeg *clip_jpeg_open(const uint8_t *data, size_t length) {
    struct clip_jpeg *d = calloc(1, sizeof *d);
    if (d == NULL) return NULL;
    d->jpeg.client_data = d;
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = error_exit;
    d->errors.emit_message = emit_message;
    d->errors.output_message = output_message;
    if (setjmp(d->failed)) return d;
    jpeg_create_decompress(&d->jpeg);
    d->source.init_source = nothing;
    d->source.fill_input_buffer = fill_input_buffer;
    d->source.skip_input_data = skip_input_data;
    d->source.resync_to_restart = jpeg_resync_to_restart;
    d->source.term_source = nothing;
    d->source.next_input_byte = data;
    d->source.bytes_in_buffer = length;
    d->jpeg.src = &d->source;
    d->progress.progress_monitor = progress_monitor;
    d->jpeg.progress = &d->progress;
    jpeg_read_header(&d->jpeg, TRUE);
    return d;
}

/* Width, height, components and bits a sample, of a decoder whose status is DECODED. */
void clip_jpeg_header(const struct clip_jpeg *d, uint32_t header[4]) {
    header[0] = d->jpeg.image_width;
    header[1] = d->jpeg.image_height;
    header[2] = (uint32_t)d->jpeg.num_components;
    header[3] = (uint32_t)d->jpeg.data_precision;
}

/* Has the picture decoded at 1/`part` of its size, 1, 2, 4 or 8, and writes its width and height then; the new status. */
int clip_jpeg_scale(struct clip_jpeg *d, uint32_t part, uint32_t size[2]) {
    if (setjmp(d->failed)) return d->status;
    d->jpeg.scale_num = 1;
    d->jpeg.scale_denom = part;
    jpeg_calc_output_dimensions(&d->jpeg);
    size[0] = d->jpeg.output_width;
    size[1] = d->jpeg.output_height;
    return d->status;
}

int clip_jpeg_status(const struct clip_jpeg *d) { return d->status; }

const char *clip_jpeg_message(const struct clip_jpeg *d) { return d->message; }

/* Decodes to `pixels`, width * height * components bytes, as clip_jpeg_scale has them where it was called; the new status. */
int clip_jpeg_read(struct clip_jpeg *d, int colour, uint8_t *pixels) {
    if (setjmp(d->failed)) return d->status;
    if (colour == AS_STORED) {
        d->jpeg.jpeg_color_space = d->jpeg.out_color_space = JCS_UNKNOWN;
    } else if (colour == PLAIN_YCBCR) {
        d->jpeg.jpeg_color_space = d->jpeg.out_color_space = JCS_YCbCr;
        d->jpeg.do_fancy_upsampling = FALSE;
    } else {
        if (colour == FROM_YCBCR) d->jpeg.jpeg_color_space = JCS_YCbCr;
        int components = d->jpeg.num_components;
        d->jpeg.out_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    }
    jpeg_start_decompress(&d->jpeg);
    size_t row_bytes = (size_t)d->jpeg.output_width * (size_t)d->jpeg.output_components;
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        JSAMPROW row = pixels + row_bytes * d->jpeg.output_scanline;
        jpeg_read_scanlines(&d->jpeg, &row, 1);
    }
    jpeg_finish_decompress(&d->jpeg);
    return d->status;
}
