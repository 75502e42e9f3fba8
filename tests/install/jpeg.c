/* Uses the system's libjpeg beside the library, which has one of its own inside: jpeg MODEL_FOLDER. Prints what colour each of them sees. */
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <clip.h>

#define SIDE 16

/* A red picture as a JPEG file in memory. */
static unsigned char *red(unsigned long *size)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char row[3 * SIDE], *file = NULL;
    JSAMPROW rows[1];
    int i;
    for (i = 0; i < 3 * SIDE; i++) row[i] = i % 3 == 0 ? 250 : 5;
    rows[0] = row;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &file, size);
    jpeg.image_width = jpeg.image_height = SIDE;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) jpeg_write_scanlines(&jpeg, rows, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return file;
}

static const char *seen_by_the_system(const unsigned char *file, unsigned long size)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char row[3 * SIDE] = {0};
    JSAMPROW rows[1];
    rows[0] = row;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, file, size);
    jpeg_read_header(&jpeg, TRUE);
    jpeg_start_decompress(&jpeg);
    while (jpeg.output_scanline < jpeg.output_height) jpeg_read_scanlines(&jpeg, rows, 1);
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return row[0] > 200 && row[1] < 50 && row[2] < 50 ? "red" : "another colour";
}

int main(int argc, char **argv)
{
    const char *const names[] = {"red", "green", "blue"};
    clip_model *model = NULL;
    clip_labels *labels = NULL;
    clip_image *image = NULL;
    clip_match best;
    size_t count;
    unsigned long size = 0;
    unsigned char *file = red(&size);
    if (argc != 2 || clip_model_open(argv[1], NULL, &model) != CLIP_OK
        || clip_labels_new(model, names, 3, NULL, 0, &labels) != CLIP_OK
        || clip_image_decode(model, file, size, &image) != CLIP_OK
        || clip_classify(model, image, labels, &best, 1, &count) != CLIP_OK) {
        fprintf(stderr, "%s\n", argc == 2 ? clip_last_error() : "usage: jpeg MODEL_FOLDER");
        return 1;
    }
    printf("libjpeg: %s, libclip: %s\n", seen_by_the_system(file, size), clip_labels_name(labels, best.index));
    clip_image_free(image);
    clip_labels_free(labels);
    clip_model_free(model);
    free(file);
    return 0;
}
