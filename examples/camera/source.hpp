// Where frames come from: a camera, or what stands in for one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "clip.hpp"

/// Set by a signal: sources end at their next frame.
extern std::atomic<bool> stopped;

/// A frame, and when it was captured by CLOCK_MONOTONIC, nanoseconds.
struct captured {
    clip::frame frame;
    std::uint64_t time;
};

/// CLOCK_MONOTONIC now, which is the clock of V4L2, too.
std::uint64_t now();

class source {
public:
    virtual ~source() = default;
    /// The next frame, whose memory is valid until the next call; none at the end. Throws std::runtime_error or clip::error.
    virtual std::optional<captured> next() = 0;
};

/// What is asked of a camera; 0 and "" for what it likes. A driver may give another size, which the frames then have.
struct wish {
    std::size_t width = 0, height = 0, rate = 0;
    std::string format;
};

std::unique_ptr<source> open_v4l2(const clip::model &model, const std::string &device, const wish &wish);
/// Frames without padding from a file, a FIFO, or - for standard input: `layout` is FORMAT:WIDTHxHEIGHT.
std::unique_ptr<source> open_raw(const std::string &layout, const std::string &path);
/// The pictures of a folder by name, a picture, or a file of JPEGs one behind the other (.mjpeg).
std::unique_ptr<source> open_pictures(const clip::model &model, const std::string &path);
/// A pipeline in gst-launch-1.0's words, without its sink.
std::unique_ptr<source> open_gstreamer(const std::string &pipeline);
/// `inner` no faster than `rate` frames a second.
std::unique_ptr<source> paced(std::unique_ptr<source> inner, double rate);
