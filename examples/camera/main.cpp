// Says what a camera sees: frames from Video4Linux2, GStreamer, files or pictures, through a stream of libclip, to labels on the terminal.
//
// README.md says what to type.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <unordered_map>

#include "display.hpp"
#include "options.hpp"

namespace {

volatile std::sig_atomic_t interrupted = 0;

/// Without restarting calls, so that a read from a pipe ends, too.
void end_at_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

clip::labels labels_of(const clip::model &model, const options &options) {
    if (options.labels.empty()) return clip::labels::stored(model);
    std::vector<std::string> templates;
    if (!options.template_text.empty()) templates.push_back(options.template_text);
    return clip::labels::encode(model, options.labels, templates);
}

std::unique_ptr<source> source_of(const options &options, const clip::model &model) {
    if (!options.v4l2.empty()) return open_v4l2(options.v4l2, options.camera, model);
    if (!options.gstreamer.empty()) return open_gstreamer(options.gstreamer);
    if (!options.raw_file.empty()) return open_raw(options.raw_format, options.raw_file);
    return open_pictures(options.pictures, options.rate, model);
}

/// When each frame was captured whose outcome is still to come.
class captures {
public:
    void keep(std::uint64_t tag, clock_type::time_point time) {
        const std::lock_guard<std::mutex> lock(mutex_);
        times_[tag] = time;
    }

    clock_type::time_point take(std::uint64_t tag) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found = times_.find(tag);
        if (found == times_.end()) return clock_type::now();
        const clock_type::time_point time = found->second;
        times_.erase(found);
        return time;
    }

private:
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, clock_type::time_point> times_;
};

void run(const options &options) {
    clip::open_options opening;
    if (!options.device.empty()) opening.device = options.device.c_str();
    const clip::model model = clip::model::open(options.model, opening);
    const clip::labels labels = labels_of(model, options);
    const std::unique_ptr<source> frames = source_of(options, model);
    std::fprintf(stderr, "%s, %s on %s\n", frames->describe().c_str(), model.name().c_str(), model.device().c_str());

    clip_rule rule = CLIP_RULE_INIT;
    rule.min_probability = options.threshold;
    clip::stream_options streaming;
    streaming.smoothing = options.smoothing;
    streaming.hold = options.hold;
    streaming.rule = &rule;
    streaming.when_full = options.is_policy_given ? options.when_full : frames->is_live() ? CLIP_DROP_OLDEST : CLIP_BLOCK;
    display shown(options.is_headless);
    captures times;
    std::string failed;
    const clip::stream stream = clip::stream::open(model, labels, streaming, [&](const clip::outcome &outcome) {
        if (outcome.status() != CLIP_OK && outcome.status() != CLIP_DROPPED) failed = outcome.error();
        shown.show(outcome, times.take(outcome.tag()));
    });

    const clock_type::time_point began = clock_type::now();
    std::uint64_t count = 0;
    const auto is_over = [&] {
        const double seconds = std::chrono::duration<double>(clock_type::now() - began).count();
        return interrupted != 0 || (options.seconds > 0 && seconds >= options.seconds) || (options.frames > 0 && count >= options.frames);
    };
    const auto push = [&](const clip::frame &frame, clock_type::time_point captured) {
        times.keep(count, captured);
        stream.push(frame, count++);
    };
    while (frames->next(is_over, push)) {}
    stream.flush();
    shown.end();
    if (count == 0) throw source_error("the source gave no frame");
    if (!failed.empty()) throw source_error("the model failed: " + failed);
}

} // namespace

int main(int argc, char **argv) {
    const options options = read_options(argc, argv);
    end_at_signals();
    try {
        run(options);
    } catch (const clip::error &error) {
        std::fprintf(stderr, "error: %s (%s)\n", error.what(), error.name());
        return 1;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
