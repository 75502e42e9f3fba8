// Streams, events and graphs of the double of CUDA's driver. Work runs when it is submitted, or, with DOUBLE_CUDA_LAZY=1, only
// when something waits for it: then a client that does not wait sees its old bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace cuda {

using Result = int;

// The names of cuda.h without CUDA_ERROR_.
enum : Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    CONTEXT_IS_DESTROYED = 709,
    NOT_SUPPORTED = 801,
    STREAM_CAPTURE_UNSUPPORTED = 900,
    STREAM_CAPTURE_INVALIDATED = 901,
    STREAM_CAPTURE_ISOLATION = 905,
    CAPTURED_EVENT = 907,
    STREAM_CAPTURE_WRONG_THREAD = 908,
};

using Work = std::function<Result()>;

struct Graph {
    std::vector<Work> nodes;
    bool invalid = false;
};

enum class CaptureMode { Global = 0, ThreadLocal = 1, Relaxed = 2 };

class Stream {
public:
    explicit Stream(bool lazy) : lazy_(lazy) {}

    Result submit(Work work) {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        if (graph_) {
            if (graph_->invalid) return STREAM_CAPTURE_INVALIDATED;
            graph_->nodes.push_back(std::move(work));
            return SUCCESS;
        }
        ++submitted_;
        waiting_.push_back(std::move(work));
        return lazy_ ? SUCCESS : finish(submitted_);
    }

    // Runs what was submitted first, up to number `until`. An error stays, as an error of the device does.
    Result finish(uint64_t until) {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        while (done_ < until && !waiting_.empty()) {
            Work const work = std::move(waiting_.front());
            waiting_.pop_front();
            ++done_;
            Result const result = work();
            if (result && !error_) error_ = result;
        }
        return error_;
    }

    Result finish() { return finish(UINT64_MAX); }

    bool isDone(uint64_t number) {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        return done_ >= number;
    }

    uint64_t submitted() {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        return submitted_;
    }

    Result beginCapture(CaptureMode mode) {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        if (graph_) return INVALID_VALUE;
        graph_ = std::make_shared<Graph>();
        mode_ = mode;
        thread_ = std::this_thread::get_id();
        return SUCCESS;
    }

    Result endCapture(std::shared_ptr<Graph> &graph) {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        if (!graph_) return INVALID_VALUE;
        if (mode_ != CaptureMode::Relaxed && thread_ != std::this_thread::get_id()) return STREAM_CAPTURE_WRONG_THREAD;
        graph = std::move(graph_);
        graph_ = nullptr;
        return graph->invalid ? STREAM_CAPTURE_INVALIDATED : SUCCESS;
    }

    std::shared_ptr<Graph> capture() {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        return graph_;
    }

    // Whether this capture forbids the calling thread what could wait for the device, such as an allocation.
    bool forbids() {
        std::lock_guard<std::recursive_mutex> const lock(mutex_);
        return graph_
            && (mode_ == CaptureMode::Global
                || (mode_ == CaptureMode::ThreadLocal && thread_ == std::this_thread::get_id()));
    }

private:
    std::recursive_mutex mutex_;
    bool const lazy_;
    std::deque<Work> waiting_;
    uint64_t submitted_ = 0;
    uint64_t done_ = 0;
    Result error_ = SUCCESS;
    std::shared_ptr<Graph> graph_;
    CaptureMode mode_ = CaptureMode::Global;
    std::thread::id thread_;
};

struct Event {
    std::mutex mutex;
    std::shared_ptr<Stream> stream;
    uint64_t number = 0;
    // Set where it was recorded last in a capture.
    std::shared_ptr<Graph> graph;
    std::chrono::steady_clock::time_point time{};
};

} // namespace cuda
