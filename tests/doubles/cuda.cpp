// A double of libcuda.so.1: enough of CUDA's driver for cudarc and for our double of TensorRT, on a machine without a GPU.
// The device is described by DOUBLE_CUDA_DEVICES (0 or 1), _SM (86), _MEMORY (bytes), _NAME, _INTEGRATED (1: a Jetson), _POOLS,
// _INIT (what cuInit returns), _DRIVER_VERSION (13000) and _LAZY; calls are noted in DOUBLE_CUDA_LOG.
#include "cuda_calls.h"

char const *const calls::variable = "DOUBLE_CUDA_LOG";

EXPORT cuInit(unsigned) {
    CALL;
    Result const wanted = static_cast<Result>(setting("DOUBLE_CUDA_INIT", setting("DOUBLE_CUDA_DEVICES", 1) ? SUCCESS : NO_DEVICE));
    if (!wanted) device().initialized = true;
    return call.result(wanted);
}

EXPORT cuDriverGetVersion(int *version) {
    *version = static_cast<int>(setting("DOUBLE_CUDA_DRIVER_VERSION", 13000));
    return SUCCESS;
}

EXPORT cuDeviceGetCount(int *count) {
    if (!device().initialized) return NOT_INITIALIZED;
    *count = setting("DOUBLE_CUDA_DEVICES", 1) ? 1 : 0;
    return SUCCESS;
}

EXPORT cuDeviceGet(int *handle, int ordinal) {
    CALL;
    call.argument("ordinal", ordinal);
    if (!device().initialized) return call.result(NOT_INITIALIZED);
    if (ordinal < 0 || ordinal >= setting("DOUBLE_CUDA_DEVICES", 1)) return call.result(INVALID_DEVICE);
    *handle = ordinal;
    return call.result(SUCCESS);
}

EXPORT cuDeviceGetName(char *name, int length, int) {
    char const *text = std::getenv("DOUBLE_CUDA_NAME");
    snprintf(name, static_cast<size_t>(length), "%s", text ? text : "double of a GPU");
    return SUCCESS;
}

EXPORT cuDeviceGetUuid_v2(void *uuid, int) {
    std::memcpy(uuid, "libclip's double", 16);
    return SUCCESS;
}
EXPORT cuDeviceGetUuid(void *uuid, int handle) { return cuDeviceGetUuid_v2(uuid, handle); }

EXPORT cuDeviceTotalMem_v2(size_t *bytes, int) {
    *bytes = device().memory.total();
    return SUCCESS;
}

EXPORT cuDeviceGetAttribute(int *value, int attribute, int handle) {
    if (!device().initialized) return NOT_INITIALIZED;
    if (handle != 0) return INVALID_DEVICE;
    switch (attribute) {
    case 1: *value = 1024; break;                                                       // threads in a block
    case 8: *value = 48 << 10; break;                                                   // shared memory of a block
    case 10: *value = 32; break;                                                        // threads in a warp
    case 16: *value = 16; break;                                                        // multiprocessors
    case 18: *value = static_cast<int>(setting("DOUBLE_CUDA_INTEGRATED", 0)); break;    // memory shared with the host
    case 19: case 41: *value = 1; break;                                                // host memory mapped, one address space
    case 39: *value = 1536; break;                                                      // threads in a multiprocessor
    case 75: *value = device().compute / 10; break;
    case 76: *value = device().compute % 10; break;
    case 81: *value = 100 << 10; break;                                                 // shared memory of a multiprocessor
    case 115: *value = static_cast<int>(setting("DOUBLE_CUDA_POOLS", 1)); break;        // cuMemAllocAsync
    default: *value = 0;
    }
    return SUCCESS;
}

// ---- contexts

EXPORT cuDevicePrimaryCtxRetain(Context **context, int handle) {
    CALL;
    if (!device().initialized) return call.result(NOT_INITIALIZED);
    if (handle != 0) return call.result(INVALID_DEVICE);
    std::lock_guard<std::mutex> const lock(device().mutex);
    if (device().retained++ == 0) device().primary = device().contexts.add(std::make_shared<Context>(Context{true}));
    *context = device().primary;
    return call.result(SUCCESS);
}

EXPORT cuDevicePrimaryCtxRelease_v2(int) {
    CALL;
    {
        std::lock_guard<std::mutex> const lock(device().mutex);
        if (device().retained == 0) return call.result(INVALID_CONTEXT);
        if (--device().retained) return call.result(SUCCESS);
        device().contexts.remove(device().primary);
        device().primary = nullptr;
    }
    device().finishAll();
    device().memory.releaseAll();
    return call.result(SUCCESS);
}
EXPORT cuDevicePrimaryCtxRelease(int handle) { return cuDevicePrimaryCtxRelease_v2(handle); }

EXPORT cuDevicePrimaryCtxGetState(int, unsigned *flags, int *active) {
    *flags = 0;
    *active = device().retained > 0;
    return SUCCESS;
}

EXPORT cuCtxGetCurrent(Context **context) {
    if (!device().initialized) return NOT_INITIALIZED;
    *context = contexts.empty() ? nullptr : contexts.back();
    return SUCCESS;
}

EXPORT cuCtxSetCurrent(Context *context) {
    if (!device().initialized) return NOT_INITIALIZED;
    if (context && !device().contexts.find(context)) return CONTEXT_IS_DESTROYED;
    if (!contexts.empty()) contexts.pop_back();
    if (context) contexts.push_back(context);
    return SUCCESS;
}

EXPORT cuCtxPushCurrent_v2(Context *context) {
    if (!device().contexts.find(context)) return INVALID_CONTEXT;
    contexts.push_back(context);
    return SUCCESS;
}

EXPORT cuCtxPopCurrent_v2(Context **context) {
    if (contexts.empty()) return INVALID_CONTEXT;
    if (context) *context = contexts.back();
    contexts.pop_back();
    return SUCCESS;
}

EXPORT cuCtxCreate_v2(Context **context, unsigned, int handle) {
    if (!device().initialized) return NOT_INITIALIZED;
    if (handle != 0) return INVALID_DEVICE;
    *context = device().contexts.add(std::make_shared<Context>(Context{false}));
    contexts.push_back(*context);
    return SUCCESS;
}
EXPORT cuCtxCreate_v4(Context **context, void *, unsigned flags, int handle) { return cuCtxCreate_v2(context, flags, handle); }

EXPORT cuCtxDestroy_v2(Context *context) {
    if (!contexts.empty() && contexts.back() == context) contexts.pop_back();
    return device().contexts.remove(context) ? SUCCESS : INVALID_CONTEXT;
}

EXPORT cuCtxGetDevice(int *handle) {
    if (Result const unready = ready()) return unready;
    *handle = 0;
    return SUCCESS;
}

EXPORT cuCtxSynchronize() {
    WITHIN_CONTEXT;
    NOT_WHILE_CAPTURING;
    return call.result(device().finishAll());
}

EXPORT cuCtxSetFlags(unsigned) { return ready(); }

EXPORT cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    *least = *greatest = 0;
    return ready();
}
