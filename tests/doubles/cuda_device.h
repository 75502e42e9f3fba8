// The state of the double of CUDA's driver: one device, as environment variables describe it, and what was made on it.
#pragma once

#include <cstdlib>
#include <string>

#include "calls.h"
#include "cuda_memory.h"
#include "cuda_stream.h"

namespace cuda {

inline long setting(char const *name, long otherwise) {
    char const *text = std::getenv(name);
    return text && *text ? std::atol(text) : otherwise;
}

// Objects by the pointers that the client has, so that one which was destroyed is known for such.
template <class Object>
class Handles {
public:
    Object *add(std::shared_ptr<Object> object) {
        std::lock_guard<std::mutex> const lock(mutex_);
        Object *const handle = object.get();
        live_[handle] = std::move(object);
        return handle;
    }

    std::shared_ptr<Object> find(void *handle) {
        std::lock_guard<std::mutex> const lock(mutex_);
        auto const found = live_.find(handle);
        return found == live_.end() ? nullptr : found->second;
    }

    std::shared_ptr<Object> remove(void *handle) {
        std::lock_guard<std::mutex> const lock(mutex_);
        auto const found = live_.find(handle);
        if (found == live_.end()) return nullptr;
        std::shared_ptr<Object> object = std::move(found->second);
        live_.erase(found);
        return object;
    }

    std::vector<std::shared_ptr<Object>> all() {
        std::lock_guard<std::mutex> const lock(mutex_);
        std::vector<std::shared_ptr<Object>> list;
        for (auto const &[handle, object] : live_) list.push_back(object);
        return list;
    }

private:
    std::mutex mutex_;
    std::map<void *, std::shared_ptr<Object>> live_;
};

struct Context {
    bool primary;
};

struct Device {
    int const compute = static_cast<int>(setting("DOUBLE_CUDA_SM", 86));
    bool const lazy = setting("DOUBLE_CUDA_LAZY", 0);
    Memory memory{static_cast<uint64_t>(setting("DOUBLE_CUDA_MEMORY", 8L << 30))};
    Handles<Context> contexts;
    Handles<Stream> streams;
    Handles<Event> events;
    Handles<Graph> graphs;
    Handles<Graph> executables;
    std::shared_ptr<Stream> defaultStream = std::make_shared<Stream>(lazy);
    std::mutex mutex;
    bool initialized = false;
    int retained = 0;
    Context *primary = nullptr;

    // Null, and the two small numbers of cuda.h, mean the default stream.
    std::shared_ptr<Stream> stream(void *handle) {
        return reinterpret_cast<uintptr_t>(handle) <= 2 ? defaultStream : streams.find(handle);
    }

    Result finishAll() {
        Result result = defaultStream->finish();
        for (auto const &stream : streams.all()) {
            Result const one = stream->finish();
            if (!result) result = one;
        }
        return result;
    }

    // A call that could wait for the device ends a capture that forbids it.
    Result interrupt() {
        Result result = SUCCESS;
        for (auto const &stream : streams.all()) {
            if (!stream->forbids()) continue;
            if (auto const graph = stream->capture()) graph->invalid = true;
            result = STREAM_CAPTURE_UNSUPPORTED;
        }
        return result;
    }
};

// Never destroyed: other libraries' static objects may still call at the process's end.
inline Device &device() {
    static Device *const one = new Device;
    return *one;
}

inline thread_local std::vector<Context *> contexts;

// What nearly every function wants: cuInit called, and a live context current in this thread.
inline Result ready() {
    if (!device().initialized) return NOT_INITIALIZED;
    if (contexts.empty() || !contexts.back()) return INVALID_CONTEXT;
    return device().contexts.find(contexts.back()) ? SUCCESS : CONTEXT_IS_DESTROYED;
}

} // namespace cuda
