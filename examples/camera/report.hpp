// What is told of outcomes: a line that is written over and over, or lines of JSON.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "clip.hpp"

class report {
public:
    explicit report(bool is_headless);

    /// Called in the library's thread, with outcomes whose tag is the time of capture.
    void tell(const clip::outcome &outcome);
    /// The last line, once no outcome can come any more.
    void end(const clip::stream_counts &counts);
    /// Why a frame failed, "" if none has.
    std::string error();

private:
    void line(const clip::outcome &outcome, const clip::item &item, double latency);
    double percentile(double share) const;
    double rate() const;

    std::mutex lock_;
    bool is_headless_, is_terminal_;
    std::uint64_t done_ = 0, dropped_ = 0, first_ = 0, last_ = 0, written_ = 0;
    /// Of the last frames, milliseconds; the oldest is at done_ % size.
    std::vector<double> latencies_;
    std::string error_;
};
