// What the program is called with.
#pragma once

#include <string>
#include <vector>

#include "source.hpp"

struct options {
    std::string model, device;
    std::vector<std::string> labels;
    std::string template_text;
    /// A camera, a pipeline, raw frames and their format, or pictures.
    std::string v4l2, gstreamer, raw_file, raw_format;
    std::vector<std::string> pictures;
    double rate = 30;
    wanted camera;
    float smoothing = 0, threshold = 0;
    std::size_t hold = 1;
    /// CLIP_DROP_OLDEST, or CLIP_BLOCK.
    std::int32_t when_full = CLIP_DROP_OLDEST;
    bool is_policy_given = false;
    /// 0 for as long as the source has frames.
    double seconds = 0;
    std::uint64_t frames = 0;
    bool is_headless = false;
};

/// Reads the arguments. Prints --help, or what is wrong with them, and ends the program then.
options read_options(int argc, char **argv);
