// Memory and copies of the double of CUDA's driver.
#include "cuda_calls.h"

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
