// A double of NVIDIA's libnvbufsurface: surfaces whose memory the processor sees only where it is mapped, as it was when that was last synchronised.
// Structures as the documentation of the Jetson multimedia API lists them.
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NVBUF_MAX_PLANES 4
#define STRUCTURE_PADDING 4
#define EXPORT __attribute__((visibility("default")))

typedef struct {
    uint32_t num_planes;
    uint32_t width[NVBUF_MAX_PLANES], height[NVBUF_MAX_PLANES], pitch[NVBUF_MAX_PLANES], offset[NVBUF_MAX_PLANES];
    uint32_t psize[NVBUF_MAX_PLANES], bytesPerPix[NVBUF_MAX_PLANES];
    void *reserved[STRUCTURE_PADDING * NVBUF_MAX_PLANES];
} PlaneParams;

typedef struct {
    void *addr[NVBUF_MAX_PLANES];
    void *eglImage;
    void *reserved[STRUCTURE_PADDING];
} MappedAddr;

typedef struct {
    uint32_t width, height, pitch;
    int colorFormat, layout;
    uint64_t bufferDesc;
    uint32_t dataSize;
    void *dataPtr;
    PlaneParams planeParams;
    MappedAddr mappedAddr;
    void *paramex;
    void *reserved[STRUCTURE_PADDING - 1];
} Params;

typedef struct {
    uint32_t gpuId, batchSize, numFilled;
    bool isContiguous;
    int memType;
    Params *surfaceList;
    void *reserved[STRUCTURE_PADDING];
} Surface;

static int calls[3];

// How often buffers were mapped, unmapped and synchronised.
EXPORT int double_surface_calls(int which) { return calls[which]; }

// `count` buffers of planes of `rows` rows each, `pitch` bytes from row to row.
EXPORT Surface *double_surface_create(uint32_t count, uint32_t width, uint32_t height, uint32_t planes, uint32_t const *rows, uint32_t const *pitch) {
    Surface *const surface = calloc(1, sizeof(Surface));
    surface->batchSize = surface->numFilled = count;
    surface->memType = 4;
    surface->surfaceList = calloc(count, sizeof(Params));
    for (uint32_t i = 0; i < count; ++i) {
        Params *const buffer = &surface->surfaceList[i];
        buffer->width = width;
        buffer->height = height;
        buffer->pitch = pitch[0];
        buffer->planeParams.num_planes = planes;
        for (uint32_t plane = 0; plane < planes; ++plane) {
            buffer->planeParams.pitch[plane] = pitch[plane];
            buffer->planeParams.height[plane] = rows[plane];
            buffer->planeParams.offset[plane] = buffer->dataSize;
            buffer->planeParams.psize[plane] = rows[plane] * pitch[plane];
            buffer->dataSize += rows[plane] * pitch[plane];
        }
        // What the device has; no one finds it by the documented fields.
        buffer->reserved[0] = calloc(1, buffer->dataSize);
    }
    return surface;
}

// A device writes a plane.
EXPORT void double_surface_write(Surface *surface, uint32_t index, uint32_t plane, uint8_t const *bytes) {
    Params *const buffer = &surface->surfaceList[index];
    memcpy((uint8_t *)buffer->reserved[0] + buffer->planeParams.offset[plane], bytes, buffer->planeParams.psize[plane]);
}

EXPORT void double_surface_set(Surface *surface, int layout, int memory) {
    surface->memType = memory;
    surface->surfaceList[0].layout = layout;
}

EXPORT int NvBufSurfaceMap(Surface *surface, int index, int plane, int type) {
    ++calls[0];
    Params *const buffer = &surface->surfaceList[index];
    if (plane != -1 || type != 0 || buffer->mappedAddr.addr[0]) return -1;
    for (uint32_t i = 0; i < buffer->planeParams.num_planes; ++i) buffer->mappedAddr.addr[i] = calloc(1, buffer->planeParams.psize[i]);
    return 0;
}

EXPORT int NvBufSurfaceUnMap(Surface *surface, int index, int plane) {
    ++calls[1];
    Params *const buffer = &surface->surfaceList[index];
    if (plane != -1 || !buffer->mappedAddr.addr[0]) return -1;
    for (uint32_t i = 0; i < buffer->planeParams.num_planes; ++i) {
        free(buffer->mappedAddr.addr[i]);
        buffer->mappedAddr.addr[i] = NULL;
    }
    return 0;
}

EXPORT int NvBufSurfaceSyncForCpu(Surface *surface, int index, int plane) {
    ++calls[2];
    Params *const buffer = &surface->surfaceList[index];
    if (plane != -1 || !buffer->mappedAddr.addr[0]) return -1;
    for (uint32_t i = 0; i < buffer->planeParams.num_planes; ++i)
        memcpy(buffer->mappedAddr.addr[i], (uint8_t *)buffer->reserved[0] + buffer->planeParams.offset[i], buffer->planeParams.psize[i]);
    return 0;
}
