// What people and programs read.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "source.hpp"

/// Shows outcomes: one line that is written anew on a terminal, or a line of JSON for each frame. Used by one thread.
class display {
public:
    explicit display(bool is_headless) : is_headless_(is_headless) {}

    /// `captured` is when the frame was.
    void show(const clip::outcome &outcome, clock_type::time_point captured) {
        const clock_type::time_point now = clock_type::now();
        const double milliseconds = std::chrono::duration<double, std::milli>(now - captured).count();
        const bool is_dropped = outcome.status() == CLIP_DROPPED;
        dropped_ += is_dropped;
        const clip_item *const item = outcome.size() > 0 ? &outcome[0] : nullptr;
        const float probability = item != nullptr && item->count > 0 ? item->matches[0].probability : 0;
        if (is_headless_) {
            json(outcome, item, probability, milliseconds, captured);
            return;
        }
        if (is_dropped || item == nullptr) return;
        latencies_.push_back(milliseconds);
        times_.push_back(now);
        if (latencies_.size() > WINDOW) {
            latencies_.erase(latencies_.begin());
            times_.erase(times_.begin());
        }
        // Ten times a second is what a reader can follow.
        if (now - written_ < std::chrono::milliseconds(100)) return;
        written_ = now;
        std::vector<double> sorted = latencies_;
        std::sort(sorted.begin(), sorted.end());
        const double seconds = std::chrono::duration<double>(times_.back() - times_.front()).count();
        const double rate = seconds > 0 ? static_cast<double>(times_.size() - 1) / seconds : 0;
        std::printf("\r\033[K%-24.24s %5.1f %%  %5.1f frames/s  %6.2f ms (p50) %6.2f ms (p95)  %llu dropped", item->name != nullptr ? item->name : "none of them",
                    100.0 * double(probability), rate, at(sorted, 0.5), at(sorted, 0.95), static_cast<unsigned long long>(dropped_));
        std::fflush(stdout);
    }

    /// Ends the line.
    void end() {
        if (!is_headless_) std::printf("\n");
        std::fflush(stdout);
    }

private:
    static constexpr std::size_t WINDOW = 300;

    static double at(const std::vector<double> &sorted, double share) { return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))]; }

    static std::string quoted(const char *text) {
        std::string out = "\"";
        for (const char *c = text; *c != 0; c++) {
            if (*c == '"' || *c == '\\') out += '\\';
            if (static_cast<unsigned char>(*c) < 0x20) {
                char code[8];
                std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(*c));
                out += code;
            } else {
                out += *c;
            }
        }
        return out + "\"";
    }

    static void json(const clip::outcome &outcome, const clip_item *item, float probability, double milliseconds, clock_type::time_point captured) {
        const double timestamp = std::chrono::duration<double>(captured.time_since_epoch()).count();
        std::printf("{\"frame\":%llu,\"timestamp\":%.6f,\"latency_ms\":%.3f,", static_cast<unsigned long long>(outcome.tag()), timestamp, milliseconds);
        if (item == nullptr) {
            std::printf("\"dropped\":%s", outcome.status() == CLIP_DROPPED ? "true" : "false");
            if (outcome.status() != CLIP_DROPPED) std::printf(",\"error\":%s", quoted(outcome.error()).c_str());
        } else {
            std::printf("\"dropped\":false,\"label\":%s,\"probability\":%.6f,\"changed\":%s", item->name != nullptr ? quoted(item->name).c_str() : "null",
                        double(probability), item->changed != 0 ? "true" : "false");
        }
        std::printf("}\n");
        std::fflush(stdout);
    }

    bool is_headless_;
    std::uint64_t dropped_ = 0;
    std::vector<double> latencies_;
    std::vector<clock_type::time_point> times_;
    clock_type::time_point written_{};
};
