// A double of libcuda.so.1: enough of CUDA's driver for cudarc and for our double of TensorRT, on a machine without a GPU.
// The device is described by DOUBLE_CUDA_DEVICES (0 or 1), _SM (86), _MEMORY (bytes), _NAME, _INTEGRATED (1: a Jetson), _POOLS,
// _INIT (what cuInit returns), _DRIVER_VERSION (12060) and _LAZY; calls are noted in DOUBLE_CUDA_LOG.
#include <dlfcn.h>

#include "cuda_device.h"

using namespace cuda;

char const *const calls::variable = "DOUBLE_CUDA_LOG";

#define EXPORT extern "C" __attribute__((visibility("default"))) Result
// Notes the call, and returns early where the driver would.
#define CALL calls::Call call("cuda", __func__)
#define WITHIN_CONTEXT                                                                                       \
    CALL;                                                                                                    \
    if (Result const unready = ready()) return call.result(unready)
#define NOT_WHILE_CAPTURING                                                                                  \
    if (Result const forbidden = device().interrupt()) return call.result(forbidden)
#define STREAM(HANDLE)                                                                                       \
    auto const stream = device().stream(HANDLE);                                                             \
    call.argument("stream", (void const *)(HANDLE));                                                         \
    if (!stream) return call.result(INVALID_HANDLE)

// ---- the driver and its device

EXPORT cuInit(unsigned) {
    CALL;
    Result const wanted = static_cast<Result>(setting("DOUBLE_CUDA_INIT", setting("DOUBLE_CUDA_DEVICES", 1) ? SUCCESS : NO_DEVICE));
    if (!wanted) device().initialized = true;
    return call.result(wanted);
}

EXPORT cuDriverGetVersion(int *version) {
    *version = static_cast<int>(setting("DOUBLE_CUDA_DRIVER_VERSION", 12060));
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

// ---- memory

EXPORT cuMemGetInfo_v2(size_t *free, size_t *total) {
    if (Result const unready = ready()) return unready;
    *free = device().memory.free();
    *total = device().memory.total();
    return SUCCESS;
}

EXPORT cuMemAlloc_v2(Address *address, size_t size) {
    WITHIN_CONTEXT;
    call.argument("bytes", size);
    NOT_WHILE_CAPTURING;
    if (!address || size == 0) return call.result(INVALID_VALUE);
    *address = device().memory.allocate(size);
    call.argument("address", *address);
    return call.result(*address ? SUCCESS : OUT_OF_MEMORY);
}

EXPORT cuMemFree_v2(Address address) {
    WITHIN_CONTEXT;
    call.argument("address", address);
    if (!address) return call.result(SUCCESS);
    NOT_WHILE_CAPTURING;
    device().finishAll();
    return call.result(device().memory.release(address) ? SUCCESS : INVALID_VALUE);
}

EXPORT cuMemAllocAsync(Address *address, size_t size, void *handle) {
    WITHIN_CONTEXT;
    call.argument("bytes", size);
    STREAM(handle);
    // A graph that allocates is more than this double does.
    if (stream->capture()) return call.result(NOT_SUPPORTED);
    if (!address || size == 0) return call.result(INVALID_VALUE);
    *address = device().memory.allocate(size);
    call.argument("address", *address);
    return call.result(*address ? SUCCESS : OUT_OF_MEMORY);
}

EXPORT cuMemFreeAsync(Address address, void *handle) {
    WITHIN_CONTEXT;
    call.argument("address", address);
    STREAM(handle);
    if (stream->capture()) return call.result(NOT_SUPPORTED);
    if (!device().memory.at(address, 0)) return call.result(INVALID_VALUE);
    return call.result(stream->submit([=] { return device().memory.release(address) ? SUCCESS : ILLEGAL_ADDRESS; }));
}

EXPORT cuMemHostAlloc(void **bytes, size_t size, unsigned flags) {
    WITHIN_CONTEXT;
    call.argument("bytes", size).argument("flags", flags);
    NOT_WHILE_CAPTURING;
    if (!bytes || size == 0) return call.result(INVALID_VALUE);
    *bytes = device().memory.allocateHost(size);
    return call.result(*bytes ? SUCCESS : OUT_OF_MEMORY);
}
EXPORT cuMemAllocHost_v2(void **bytes, size_t size) { return cuMemHostAlloc(bytes, size, 0); }
// Memory for both sides, which is memory of the host here.
EXPORT cuMemAllocManaged(void **bytes, size_t size, unsigned flags) { return cuMemHostAlloc(bytes, size, flags); }

EXPORT cuMemFreeHost(void *bytes) {
    WITHIN_CONTEXT;
    return call.result(device().memory.releaseHost(bytes) ? SUCCESS : INVALID_VALUE);
}

EXPORT cuDeviceGetDefaultMemPool(void **pool, int) {
    *pool = &device();
    return SUCCESS;
}
EXPORT cuDeviceGetMemPool(void **pool, int handle) { return cuDeviceGetDefaultMemPool(pool, handle); }
EXPORT cuMemPoolSetAttribute(void *, int, void *) { return SUCCESS; }
EXPORT cuMemPoolTrimTo(void *, size_t) { return SUCCESS; }

// ---- copies

namespace {

// What a copy reads or writes: an address of the device, or memory of the host, pinned or not.
struct Place {
    Address address;
    bool onDevice;
    bool pinned = false;

    uint8_t *at(uint64_t size) const {
        if (onDevice || pinned) return device().memory.at(address, size);
        return reinterpret_cast<uint8_t *>(address);
    }
};

Place host(void const *bytes, uint64_t size) {
    return Place{reinterpret_cast<Address>(bytes), false, device().memory.isPinned(bytes, size)};
}

Result copyNow(Place to, Place from, uint64_t size) {
    uint8_t *const target = to.at(size);
    uint8_t const *const source = from.at(size);
    if (!target || !source) return ILLEGAL_ADDRESS;
    std::memmove(target, source, size);
    return SUCCESS;
}

Result copy(calls::Call &call, Place to, Place from, uint64_t size, void *handle) {
    call.argument("to", to.address).argument("from", from.address).argument("bytes", size);
    STREAM(handle);
    if (!size) return call.result(SUCCESS);
    if (!to.at(size) || !from.at(size)) return call.result(INVALID_VALUE);
    bool const pageable = (!to.onDevice && !to.pinned) || (!from.onDevice && !from.pinned);
    // The driver is through with memory that is not pinned when it returns; in a capture the address is noted.
    if (pageable && !stream->capture()) {
        if (Result const before = stream->finish()) return call.result(before);
    }
    Result const result = stream->submit([=] { return copyNow(to, from, size); });
    return call.result(pageable && !stream->capture() ? stream->finish() : result);
}

Result copySynchronously(calls::Call &call, Place to, Place from, uint64_t size) {
    call.argument("to", to.address).argument("from", from.address).argument("bytes", size);
    NOT_WHILE_CAPTURING;
    if (!size) return call.result(SUCCESS);
    if (!to.at(size) || !from.at(size)) return call.result(INVALID_VALUE);
    if (Result const before = device().defaultStream->finish()) return call.result(before);
    return call.result(copyNow(to, from, size));
}

} // namespace

EXPORT cuMemcpyHtoDAsync_v2(Address to, void const *from, size_t size, void *stream) {
    WITHIN_CONTEXT;
    return copy(call, {to, true}, host(from, size), size, stream);
}

EXPORT cuMemcpyDtoHAsync_v2(void *to, Address from, size_t size, void *stream) {
    WITHIN_CONTEXT;
    return copy(call, host(to, size), {from, true}, size, stream);
}

EXPORT cuMemcpyDtoDAsync_v2(Address to, Address from, size_t size, void *stream) {
    WITHIN_CONTEXT;
    return copy(call, {to, true}, {from, true}, size, stream);
}

EXPORT cuMemcpyPeerAsync(Address to, Context *, Address from, Context *, size_t size, void *stream) {
    WITHIN_CONTEXT;
    return copy(call, {to, true}, {from, true}, size, stream);
}

EXPORT cuMemcpyHtoD_v2(Address to, void const *from, size_t size) {
    WITHIN_CONTEXT;
    return copySynchronously(call, {to, true}, host(from, size), size);
}

EXPORT cuMemcpyDtoH_v2(void *to, Address from, size_t size) {
    WITHIN_CONTEXT;
    return copySynchronously(call, host(to, size), {from, true}, size);
}

EXPORT cuMemcpyDtoD_v2(Address to, Address from, size_t size) {
    WITHIN_CONTEXT;
    return copySynchronously(call, {to, true}, {from, true}, size);
}

EXPORT cuMemsetD8Async(Address address, unsigned char value, size_t size, void *handle) {
    WITHIN_CONTEXT;
    call.argument("to", address).argument("bytes", size);
    STREAM(handle);
    if (!device().memory.at(address, size)) return call.result(INVALID_VALUE);
    return call.result(stream->submit([=]() -> Result {
        uint8_t *const bytes = device().memory.at(address, size);
        if (!bytes) return ILLEGAL_ADDRESS;
        std::memset(bytes, value, size);
        return SUCCESS;
    }));
}

EXPORT cuMemsetD8_v2(Address address, unsigned char value, size_t size) { return cuMemsetD8Async(address, value, size, nullptr); }

// ---- streams and events

EXPORT cuStreamCreate(Stream **handle, unsigned flags) {
    WITHIN_CONTEXT;
    *handle = device().streams.add(std::make_shared<Stream>(device().lazy));
    call.argument("flags", flags).argument("stream", (void const *)*handle);
    return call.result(SUCCESS);
}
EXPORT cuStreamCreateWithPriority(Stream **handle, unsigned flags, int) { return cuStreamCreate(handle, flags); }

EXPORT cuStreamDestroy_v2(void *handle) {
    WITHIN_CONTEXT;
    auto const stream = device().streams.remove(handle);
    call.argument("stream", (void const *)handle);
    if (!stream) return call.result(INVALID_HANDLE);
    stream->finish();
    return call.result(SUCCESS);
}

EXPORT cuStreamSynchronize(void *handle) {
    WITHIN_CONTEXT;
    STREAM(handle);
    if (auto const graph = stream->capture()) {
        graph->invalid = true;
        return call.result(STREAM_CAPTURE_UNSUPPORTED);
    }
    return call.result(stream->finish());
}

EXPORT cuStreamQuery(void *handle) {
    WITHIN_CONTEXT;
    STREAM(handle);
    return call.result(stream->isDone(stream->submitted()) ? SUCCESS : NOT_READY);
}

EXPORT cuLaunchHostFunc(void *handle, void (*function)(void *), void *data) {
    WITHIN_CONTEXT;
    STREAM(handle);
    return call.result(stream->submit([=] {
        function(data);
        return SUCCESS;
    }));
}

EXPORT cuEventCreate(Event **handle, unsigned) {
    WITHIN_CONTEXT;
    *handle = device().events.add(std::make_shared<Event>());
    return call.result(SUCCESS);
}

EXPORT cuEventDestroy_v2(void *handle) {
    WITHIN_CONTEXT;
    return call.result(device().events.remove(handle) ? SUCCESS : INVALID_HANDLE);
}

EXPORT cuEventRecord(void *event, void *handle) {
    WITHIN_CONTEXT;
    STREAM(handle);
    auto const recorded = device().events.find(event);
    if (!recorded) return call.result(INVALID_HANDLE);
    {
        std::lock_guard<std::mutex> const lock(recorded->mutex);
        recorded->graph = stream->capture();
        if (recorded->graph) return call.result(SUCCESS);
        recorded->stream = stream;
        recorded->number = stream->submitted() + 1;
    }
    return call.result(stream->submit([=] {
        std::lock_guard<std::mutex> const lock(recorded->mutex);
        recorded->time = std::chrono::steady_clock::now();
        return SUCCESS;
    }));
}
EXPORT cuEventRecordWithFlags(void *event, void *stream, unsigned) { return cuEventRecord(event, stream); }

namespace {

Result finish(std::shared_ptr<Event> const &event) {
    std::shared_ptr<Stream> stream;
    uint64_t number = 0;
    {
        std::lock_guard<std::mutex> const lock(event->mutex);
        if (event->graph) return CAPTURED_EVENT;
        stream = event->stream;
        number = event->number;
    }
    return stream ? stream->finish(number) : SUCCESS;
}

} // namespace

EXPORT cuEventSynchronize(void *handle) {
    WITHIN_CONTEXT;
    auto const event = device().events.find(handle);
    return call.result(event ? finish(event) : INVALID_HANDLE);
}

EXPORT cuEventQuery(void *handle) {
    WITHIN_CONTEXT;
    auto const event = device().events.find(handle);
    if (!event) return call.result(INVALID_HANDLE);
    std::lock_guard<std::mutex> const lock(event->mutex);
    if (event->graph) return call.result(CAPTURED_EVENT);
    return call.result(!event->stream || event->stream->isDone(event->number) ? SUCCESS : NOT_READY);
}

EXPORT cuEventElapsedTime(float *milliseconds, void *start, void *end) {
    WITHIN_CONTEXT;
    auto const from = device().events.find(start), to = device().events.find(end);
    if (!from || !to || !from->stream || !to->stream) return call.result(INVALID_HANDLE);
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return call.result(SUCCESS);
}
EXPORT cuEventElapsedTime_v2(float *milliseconds, void *start, void *end) { return cuEventElapsedTime(milliseconds, start, end); }

EXPORT cuStreamWaitEvent(void *handle, void *eventHandle, unsigned) {
    WITHIN_CONTEXT;
    STREAM(handle);
    auto const event = device().events.find(eventHandle);
    if (!event) return call.result(INVALID_HANDLE);
    std::unique_lock<std::mutex> lock(event->mutex);
    if (auto const graph = stream->capture()) {
        // Waiting for what lies outside the graph ends the capture. An event that was never recorded counts as passed.
        if (event->graph == graph || (!event->graph && !event->stream)) return call.result(SUCCESS);
        graph->invalid = true;
        return call.result(STREAM_CAPTURE_ISOLATION);
    }
    // A second stream that joins a capture is more than this double does.
    if (event->graph) return call.result(NOT_SUPPORTED);
    auto const other = event->stream;
    uint64_t const number = event->number;
    lock.unlock();
    if (!other || other == stream) return call.result(SUCCESS);
    return call.result(stream->submit([=] { return other->finish(number); }));
}

// ---- graphs

EXPORT cuStreamBeginCapture_v2(void *handle, int mode) {
    WITHIN_CONTEXT;
    STREAM(handle);
    call.argument("mode", mode);
    if (stream == device().defaultStream) return call.result(STREAM_CAPTURE_UNSUPPORTED);
    return call.result(stream->beginCapture(static_cast<CaptureMode>(mode)));
}

EXPORT cuStreamEndCapture(void *handle, Graph **graph) {
    WITHIN_CONTEXT;
    STREAM(handle);
    *graph = nullptr;
    std::shared_ptr<Graph> captured;
    Result const result = stream->endCapture(captured);
    if (!result) *graph = device().graphs.add(captured);
    return call.argument("nodes", captured ? captured->nodes.size() : size_t{0}).result(result);
}

EXPORT cuStreamIsCapturing(void *handle, int *status) {
    WITHIN_CONTEXT;
    STREAM(handle);
    auto const graph = stream->capture();
    *status = !graph ? 0 : graph->invalid ? 2 : 1;
    return call.result(SUCCESS);
}

EXPORT cuGraphInstantiateWithFlags(Graph **executable, void *graph, unsigned long long) {
    WITHIN_CONTEXT;
    auto const captured = device().graphs.find(graph);
    if (!captured) return call.result(INVALID_HANDLE);
    *executable = device().executables.add(std::make_shared<Graph>(*captured));
    return call.result(SUCCESS);
}

EXPORT cuGraphLaunch(void *executable, void *handle) {
    WITHIN_CONTEXT;
    STREAM(handle);
    auto const graph = device().executables.find(executable);
    if (!graph) return call.result(INVALID_HANDLE);
    Result result = SUCCESS;
    for (auto const &node : graph->nodes) {
        result = stream->submit(node);
        if (result) break;
    }
    return call.argument("graph", (void const *)executable).result(result);
}

EXPORT cuGraphUpload(void *executable, void *) { return device().executables.find(executable) ? SUCCESS : INVALID_HANDLE; }

EXPORT cuGraphExecDestroy(void *executable) {
    WITHIN_CONTEXT;
    return call.result(device().executables.remove(executable) ? SUCCESS : INVALID_HANDLE);
}

EXPORT cuGraphDestroy(void *graph) {
    WITHIN_CONTEXT;
    return call.result(device().graphs.remove(graph) ? SUCCESS : INVALID_HANDLE);
}

EXPORT cuGraphGetNodes(void *graph, void **, size_t *count) {
    auto const captured = device().graphs.find(graph);
    if (!captured) return INVALID_HANDLE;
    *count = captured->nodes.size();
    return SUCCESS;
}

// ---- errors and symbols

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
        return dladdr(reinterpret_cast<void *>(&cuInit), &info) ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
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
