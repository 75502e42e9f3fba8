// The GPU as TensorRT's double sees it: CUDA's driver, the double of it or a real one, opened by its name.
#pragma once

#include <dlfcn.h>

#include <cstdint>

namespace doubles {

struct Device {
    int (*getCurrent)(void **);
    int (*setCurrent)(void *);
    int (*retain)(void **, int);
    int (*attribute)(int *, int, int);
    int (*totalMemory)(size_t *, int);
    int (*allocate)(unsigned long long *, size_t);
    int (*release)(unsigned long long);
    int (*allocateHost)(void **, size_t, unsigned);
    int (*releaseHost)(void *);
    int (*toHost)(void *, unsigned long long, size_t, void *);
    int (*toDevice)(unsigned long long, void const *, size_t, void *);
    int (*launchHost)(void *, void (*)(void *), void *);
    int (*isCapturing)(void *, int *);

    // Null where there is no driver, or cuInit has not been called with success.
    static Device const *get() {
        static Device device;
        static bool const opened = device.open();
        void *context = nullptr;
        if (!opened || device.getCurrent(&context)) return nullptr;
        // As CUDA's runtime does it: without a current context the device's primary one is taken.
        if (!context) {
            static void *const primary = [] {
                void *retained = nullptr;
                return device.retain(&retained, 0) ? nullptr : retained;
            }();
            if (!primary || device.setCurrent(primary)) return nullptr;
        }
        return &device;
    }

    int32_t compute() const {
        int major = 0, minor = 0;
        attribute(&major, 75, 0);
        attribute(&minor, 76, 0);
        return major * 10 + minor;
    }

    uint64_t memory() const {
        size_t bytes = 0;
        totalMemory(&bytes, 0);
        return bytes;
    }

private:
    bool open() {
        void *const library = dlopen("libcuda.so.1", RTLD_LAZY);
        if (!library) return false;
        bool all = true;
        auto const find = [&](auto &function, char const *name) {
            function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
            all = all && function;
        };
        find(getCurrent, "cuCtxGetCurrent");
        find(setCurrent, "cuCtxSetCurrent");
        find(retain, "cuDevicePrimaryCtxRetain");
        find(attribute, "cuDeviceGetAttribute");
        find(totalMemory, "cuDeviceTotalMem_v2");
        find(allocate, "cuMemAlloc_v2");
        find(release, "cuMemFree_v2");
        find(allocateHost, "cuMemHostAlloc");
        find(releaseHost, "cuMemFreeHost");
        find(toHost, "cuMemcpyDtoHAsync_v2");
        find(toDevice, "cuMemcpyHtoDAsync_v2");
        find(launchHost, "cuLaunchHostFunc");
        find(isCapturing, "cuStreamIsCapturing");
        return all;
    }
};

} // namespace doubles
