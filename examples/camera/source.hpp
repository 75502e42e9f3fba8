// Where frames come from.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "clip.hpp"

using clock_type = std::chrono::steady_clock;

/// Something that gives frames, one after the other, until it ends.
class source {
public:
    virtual ~source() = default;

    /// Calls `take` with the next frame, which is valid until that returns, and the time when it was captured. False at the end, also where
    /// `is_over` became true while it waited.
    virtual bool next(const std::function<bool()> &is_over, const std::function<void(const clip::frame &, clock_type::time_point)> &take) = 0;

    /// What it is, for people.
    virtual std::string describe() const = 0;

    /// Whether it gives frames at a pace of its own, so that some may be dropped when the model is slower.
    virtual bool is_live() const = 0;
};

/// A source that cannot be had, or that fails.
class source_error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What a camera is asked for; 0 and "" leave the choice to it.
struct wanted {
    std::size_t width = 0, height = 0;
    /// yuyv, nv12 or mjpeg.
    std::string format;
};

/// A camera of Linux's, as /dev/video0. JPEGs are decoded as the model's pictures are.
std::unique_ptr<source> open_v4l2(const std::string &device, const wanted &wanted, const clip::model &model);

/// Frames one behind the other in a file, a pipe or "-", of a format and size as nv12:1920x1080.
std::unique_ptr<source> open_raw(const std::string &description, const std::string &file);

/// Pictures in files, again and again, so many frames a second.
std::unique_ptr<source> open_pictures(const std::vector<std::string> &files, double rate, const clip::model &model);

/// A pipeline of GStreamer's; its last element is put behind it here.
std::unique_ptr<source> open_gstreamer(const std::string &pipeline);
