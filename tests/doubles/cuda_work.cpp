// Streams, events and graphs of the double of CUDA's driver.
#include "cuda_calls.h"

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
