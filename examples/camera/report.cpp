#include "report.hpp"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

#include "source.hpp"

namespace {

constexpr std::size_t kept = 1000;

/// A string of JSON.
std::string quoted(const char *text) {
    if (text == nullptr) return "null";
    std::string all = "\"";
    for (; *text != 0; text++) {
        char escaped[8];
        const auto byte = static_cast<unsigned char>(*text);
        if (byte < 0x20) std::snprintf(escaped, sizeof escaped, "\\u%04x", unsigned(byte)), all += escaped;
        else if (*text == '"' || *text == '\\') all += '\\', all += *text;
        else all += *text;
    }
    return all + "\"";
}

} // namespace

report::report(bool is_headless) : is_headless_(is_headless), is_terminal_(isatty(STDOUT_FILENO) != 0) {}

void report::tell(const clip::outcome &outcome) {
    const std::lock_guard<std::mutex> guard(lock_);
    if (outcome.status() == CLIP_DROPPED) {
        dropped_++;
    } else if (outcome.status() != CLIP_OK) {
        if (error_.empty()) error_ = outcome.error();
    } else {
        const std::uint64_t time = now();
        const double latency = double(time - outcome.tag()) / 1e6;
        if (done_ == 0) first_ = time;
        last_ = time;
        if (latencies_.size() < kept) latencies_.push_back(latency);
        else latencies_[done_ % kept] = latency;
        done_++;
        line(outcome, outcome[0], latency);
    }
}

void report::line(const clip::outcome &outcome, const clip::item &item, double latency) {
    // That of the label that is shown; one that is held may not be the best any more.
    double probability = 0;
    for (std::size_t i = 0; i < item.count; i++)
        if (item.matches[i].index == item.label || (item.name == nullptr && i == 0)) probability = double(item.matches[i].probability);
    if (is_headless_) {
        std::printf("{\"frame\": %llu, \"timestamp\": %.6f, \"label\": %s, \"probability\": %.6f, \"changed\": %s, \"latency_ms\": %.3f, "
                    "\"dropped\": %llu}\n",
                    static_cast<unsigned long long>(outcome.sequence()), double(outcome.tag()) / 1e9, quoted(item.name).c_str(),
                    probability, item.changed ? "true" : "false", latency, static_cast<unsigned long long>(dropped_));
    } else {
        // As often as an eye can follow; where lines are kept, such as in a file, only what changes.
        const std::uint64_t time = now();
        if (!item.changed && (!is_terminal_ || time - written_ < 100000000)) return;
        written_ = time;
        std::printf("%s%-24s %5.1f %%  %6.1f frames/s  latency %.1f ms, of 95 in 100 below %.1f ms  %llu dropped%s",
                    is_terminal_ ? "\r\033[K" : "", item.name == nullptr ? "none of the labels" : item.name, 100 * probability, rate(), percentile(0.5), percentile(0.95),
                    static_cast<unsigned long long>(dropped_), is_terminal_ ? "" : "\n");
    }
    std::fflush(stdout);
}

void report::end(const clip::stream_counts &counts) {
    const std::lock_guard<std::mutex> guard(lock_);
    const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    if (is_headless_)
        std::printf("{\"pushed\": %llu, \"done\": %llu, \"dropped\": %llu, \"failed\": %llu, \"frames_per_second\": %.2f, \"latency_ms_p50\": "
                    "%.3f, \"latency_ms_p95\": %.3f}\n",
                    number(counts.pushed), number(counts.done), number(counts.dropped), number(counts.failed), rate(), percentile(0.5),
                    percentile(0.95));
    else
        std::printf("%s%llu frames, %llu classified, %llu dropped\n", is_terminal_ && done_ > 0 ? "\n" : "", number(counts.pushed), number(counts.done), number(counts.dropped));
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) error_ = "standard output takes no more";
}

std::string report::error() {
    const std::lock_guard<std::mutex> guard(lock_);
    return error_;
}

/// Frames a second since the first.
double report::rate() const { return last_ == first_ ? 0 : double(done_ - 1) * 1e9 / double(last_ - first_); }

double report::percentile(double share) const {
    if (latencies_.empty()) return 0;
    std::vector<double> sorted = latencies_;
    const auto at = std::ptrdiff_t(share * double(sorted.size() - 1));
    std::nth_element(sorted.begin(), sorted.begin() + at, sorted.end());
    return sorted[std::size_t(at)];
}
