// Says what a camera sees. README.md tells what to type.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <sys/time.h>

#include "../labels_file.hpp"
#include "options.hpp"
#include "report.hpp"

std::atomic<bool> stopped{false};

namespace {

void stop(int) { stopped = true; }

/// Without SA_RESTART, so that what waits for a frame looks up.
void stop_at(int signal) {
    struct sigaction action {};
    action.sa_handler = stop;
    sigaction(signal, &action, nullptr);
}

/// Has a signal end the program, also while it waits for a frame.
void stop_after(double seconds) {
    itimerval time{};
    time.it_value.tv_sec = time_t(seconds);
    time.it_value.tv_usec = suseconds_t((seconds - double(time_t(seconds))) * 1e6);
    // Again and again, in case it comes between a look at `stopped` and a wait.
    time.it_interval.tv_usec = 100000;
    stop_at(SIGALRM);
    setitimer(ITIMER_REAL, &time, nullptr);
}

clip::model open_model(const options &options) {
    clip::open_options open;
    if (!options.device.empty()) open.device = options.device.c_str();
    if (!options.engine.empty()) open.engine = options.engine.c_str();
    return clip::model::open(options.model, open);
}

clip::labels read_labels(const clip::model &model, const options &options) {
    const std::string &path = options.labels_file, compiled = ".safetensors";
    if (!options.labels.empty()) return clip::labels::encode(model, options.labels, options.templates);
    if (path.empty()) return clip::labels::stored(model);
    if (path.size() > compiled.size() && path.compare(path.size() - compiled.size(), compiled.size(), compiled) == 0)
        return clip::labels::load(model, path);
    return clip::labels::encode(model, read_labels_file(path), options.templates);
}

std::unique_ptr<source> open_source(const clip::model &model, const options &options) {
    std::unique_ptr<source> opened;
    if (!options.v4l2.empty()) opened = open_v4l2(model, options.v4l2, options.camera);
    else if (!options.gstreamer.empty()) opened = open_gstreamer(options.gstreamer);
    else if (!options.raw.empty()) opened = open_raw(options.raw, options.raw_file);
    else opened = open_pictures(model, options.pictures);
    return options.pace > 0 ? paced(std::move(opened), options.pace) : std::move(opened);
}

void watch(const options &options) {
    const clip::model model = open_model(options);
    const clip::labels labels = read_labels(model, options);
    if (options.seconds > 0) stop_after(options.seconds);
    const std::unique_ptr<source> camera = open_source(model, options);
    report report(options.is_headless);
    clip::stream_options how = options.stream;
    how.rule = &options.rule;
    const clip::stream stream = clip::stream::open(model, labels, how, [&](const clip::outcome &outcome) { report.tell(outcome); });
    std::size_t frames = 0;
    std::exception_ptr failure;
    try {
        while (!stopped && report.error().empty() && (options.frames == 0 || frames < options.frames)) {
            const std::optional<captured> found = camera->next();
            if (!found) break;
            // The time of capture is the tag, so that what is told of the outcome knows it.
            stream.push(found->frame, found->time);
            frames++;
        }
    } catch (...) {
        // Of a camera that was unplugged, frames may still be under way.
        failure = std::current_exception();
    }
    stream.flush();
    report.end(stream.counts());
    if (failure) std::rethrow_exception(failure);
    if (!report.error().empty()) throw std::runtime_error(report.error());
}

} // namespace

int main(int argc, char **argv) {
    stop_at(SIGINT);
    stop_at(SIGTERM);
    if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
        std::fputs(usage, stdout);
        return 0;
    }
    try {
        watch(read_options(argc, argv));
    } catch (const std::invalid_argument &error) {
        std::fprintf(stderr, "camera: %s\n", error.what());
        return 2;
    } catch (const clip::error &error) {
        std::fprintf(stderr, "camera: %s (%s)\n", error.what(), error.name());
        return 1;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "camera: %s\n", error.what());
        return 1;
    }
    return 0;
}
