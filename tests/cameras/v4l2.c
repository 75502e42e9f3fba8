/* A double of a camera of Linux, preloaded: the device node in CLIP_CAMERA, which does not exist, gives the frames of a file.
 *
 *     CLIP_CAMERA=/dev/video-double CLIP_CAMERA_FORMAT=NV12 CLIP_CAMERA_SIZE=256x256 CLIP_CAMERA_STRIDE=320
 *     CLIP_CAMERA_FRAMES=FILE:FILE...   each file holds one frame; after the last one poll() ends as CLIP_CAMERA_END says:
 *                                       "unplugged" (the default) or "silent"
 *     CLIP_CAMERA_FAULT                 "busy" (opening fails), "mplane" (another kind of device), "interrupted" (each third call of ioctl
 *                                       is), "damaged" (a frame with an error first, then one cut short)
 *
 * It is as strict as the kernel: buffers are taken and given in turn, none is given twice, and mappings are of what QUERYBUF told.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 3, SIZE = 4 << 20 };

static int camera = -1, is_on = 0, next_frame = 0, calls = 0, faults = 0;
static unsigned char *memory[BUFFERS];
static int is_mapped[BUFFERS], is_queued[BUFFERS];
static int queue[BUFFERS], queued = 0;
static struct v4l2_pix_format format;

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value == NULL ? "" : value;
}
static int is_fault(const char *name) { return strcmp(setting("CLIP_CAMERA_FAULT"), name) == 0; }
static int fail(int why)
{
    errno = why;
    return -1;
}

static unsigned fourcc(void)
{
    const char *name = setting("CLIP_CAMERA_FORMAT");
    return strlen(name) == 4 ? v4l2_fourcc(name[0], name[1], name[2], name[3]) : 0;
}

/* The path of frame n, NULL after the last. */
static const char *path(int n)
{
    static char copy[8192];
    snprintf(copy, sizeof copy, "%s", setting("CLIP_CAMERA_FRAMES"));
    char *rest = copy, *found = NULL;
    for (int i = 0; i <= n; i++)
        found = strsep(&rest, ":");
    return found != NULL && *found != 0 ? found : NULL;
}

static int open_camera(void)
{
    if (is_fault("busy"))
        return fail(EBUSY);
    camera = memfd_create("camera", MFD_CLOEXEC);
    if (ftruncate(camera, (off_t)BUFFERS * SIZE) != 0)
        abort();
    return camera;
}

static int is_camera(const char *name) { return *setting("CLIP_CAMERA") != 0 && strcmp(name, setting("CLIP_CAMERA")) == 0; }

int open(const char *name, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (is_camera(name))
        return open_camera();
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    return real(name, flags, mode);
}

static void set_format(struct v4l2_pix_format *pix)
{
    unsigned width = 0, height = 0;
    sscanf(setting("CLIP_CAMERA_SIZE"), "%ux%u", &width, &height);
    pix->width = width;
    pix->height = height;
    pix->pixelformat = fourcc();
    pix->field = V4L2_FIELD_NONE;
    pix->bytesperline = (unsigned)atoi(setting("CLIP_CAMERA_STRIDE"));
    pix->sizeimage = SIZE;
    pix->colorspace = V4L2_COLORSPACE_SMPTE170M;
    pix->quantization = V4L2_QUANTIZATION_DEFAULT;
}

/* Writes the next frame into the buffer that waits longest. */
static int dequeue(struct v4l2_buffer *buffer)
{
    if (!is_on)
        return fail(EINVAL);
    const int is_bad = is_fault("damaged") && faults < 2;
    const char *name = path(next_frame);
    if (queued == 0)
        return fail(EAGAIN);
    if (name == NULL)
        return fail(ENODEV);
    const int index = queue[0];
    memmove(queue, queue + 1, sizeof queue - sizeof *queue);
    queued--;
    is_queued[index] = 0;
    FILE *file = fopen(name, "rb");
    if (file == NULL)
        abort();
    const size_t size = fread(memory[index], 1, SIZE, file);
    fclose(file);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    memset(buffer, 0, sizeof *buffer);
    buffer->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    buffer->memory = V4L2_MEMORY_MMAP;
    buffer->index = (unsigned)index;
    buffer->bytesused = (unsigned)size;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = now.tv_sec;
    buffer->timestamp.tv_usec = now.tv_nsec / 1000;
    if (is_bad && faults == 0)
        buffer->flags |= V4L2_BUF_FLAG_ERROR;
    if (is_bad && faults == 1)
        buffer->bytesused /= 3;
    if (is_bad)
        faults++;
    else
        next_frame++;
    return 0;
}

static int answer(unsigned long request, void *argument)
{
    if (is_fault("interrupted") && ++calls % 3 == 0)
        return fail(EINTR);
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;
        const unsigned kind = is_fault("mplane") ? V4L2_CAP_VIDEO_CAPTURE_MPLANE : V4L2_CAP_VIDEO_CAPTURE;
        capability->device_caps = kind | V4L2_CAP_STREAMING;
        capability->capabilities = capability->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *description = argument;
        if (description->index > 0)
            return fail(EINVAL);
        description->pixelformat = fourcc();
        return 0;
    }
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
        if (is_on)
            return fail(EBUSY);
        set_format(&((struct v4l2_format *)argument)->fmt.pix);
        format = ((struct v4l2_format *)argument)->fmt.pix;
        return 0;
    case VIDIOC_S_PARM: return fail(ENOTTY);
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *buffers = argument;
        if (buffers->memory != V4L2_MEMORY_MMAP || format.width == 0)
            return fail(EINVAL);
        buffers->count = BUFFERS;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        if (buffer->index >= BUFFERS)
            return fail(EINVAL);
        buffer->length = SIZE;
        buffer->m.offset = buffer->index * SIZE;
        return 0;
    }
    case VIDIOC_QBUF: {
        const unsigned index = ((struct v4l2_buffer *)argument)->index;
        if (index >= BUFFERS || is_queued[index] || !is_mapped[index])
            return fail(EINVAL);
        /* What was taken is the driver's: a reader that comes too late sees this. */
        memset(memory[index], 0x77, SIZE);
        is_queued[index] = 1;
        queue[queued++] = (int)index;
        return 0;
    }
    case VIDIOC_DQBUF: return dequeue(argument);
    case VIDIOC_STREAMON: is_on = 1; return 0;
    case VIDIOC_STREAMOFF:
        is_on = queued = 0;
        fprintf(stderr, "camera: off\n");
        return 0;
    default: fprintf(stderr, "camera: unknown call %lx\n", request); return fail(ENOTTY);
    }
}

int ioctl(int file, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (file == camera && camera >= 0)
        return answer(request, argument);
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(file, request, argument);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    void *(*real)(void *, size_t, int, int, int, off_t) = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
    void *mapped = real(address, size, protection, flags, file, offset);
    if (file >= 0 && file == camera && mapped != MAP_FAILED) {
        const long index = (long)(offset / SIZE);
        if (offset % SIZE != 0 || index >= BUFFERS || size != SIZE)
            return errno = EINVAL, MAP_FAILED;
        memory[index] = mapped;
        is_mapped[index] = 1;
    }
    return mapped;
}

/* The header promises that poll() only writes. */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
int poll(struct pollfd *events, nfds_t n, int timeout)
{
    if (n == 1 && events->fd == camera && camera >= 0) {
        const int is_over = path(next_frame) == NULL, is_silent = strcmp(setting("CLIP_CAMERA_END"), "silent") == 0;
        events->revents = is_over ? POLLERR | POLLHUP : POLLIN;
        if (is_over && is_silent)
            return usleep((unsigned)timeout * 1000) == 0 ? 0 : fail(EINTR);
        return 1;
    }
    int (*real)(struct pollfd *, nfds_t, int) = (int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");
    return real(events, n, timeout);
}
