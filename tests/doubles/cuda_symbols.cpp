// The names of errors and of functions in the double of CUDA's driver.
#include <dlfcn.h>

#include "cuda_calls.h"

namespace {

struct Name {
    Result code;
    char const *name;
    char const *text;
};
Name const names[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
    {STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
        "attempt to terminate a thread-local capture sequence from another thread"},
};

Name const *named(Result code) {
    for (auto const &name : names) {
        if (name.code == code) return &name;
    }
    return nullptr;
}

} // namespace

EXPORT cuGetErrorName(Result code, char const **text) {
    Name const *const name = named(code);
    *text = name ? name->name : nullptr;
    return name ? SUCCESS : INVALID_VALUE;
}

EXPORT cuGetErrorString(Result code, char const **text) {
    Name const *const name = named(code);
    *text = name ? name->text : nullptr;
    return name ? SUCCESS : INVALID_VALUE;
}

EXPORT cuGetExportTable(void const **table, void const *) {
    *table = nullptr;
    return NOT_FOUND;
}

// Stands for every function that is not here.
EXPORT double_cuda_unknown() { return setting("DOUBLE_CUDA_DEVICES", 1) ? NOT_SUPPORTED : NO_DEVICE; }

EXPORT cuGetProcAddress_v2(char const *symbol, void **function, int, uint64_t, int *status) {
    CALL;
    call.argument("symbol", symbol);
    static void *const self = [] {
        Dl_info info;
        return dladdr(reinterpret_cast<void *>(&double_cuda_unknown), &info) ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
    }();
    if (status) *status = 0;
    *function = self ? dlsym(self, (std::string(symbol) + "_v2").c_str()) : nullptr;
    if (!*function && self) *function = dlsym(self, symbol);
    if (!*function) *function = reinterpret_cast<void *>(&double_cuda_unknown);
    return SUCCESS;
}

EXPORT cuGetProcAddress(char const *symbol, void **function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}
