// What the program is asked to do.
#pragma once

#include <string>
#include <vector>

#include "source.hpp"

struct options {
    std::string model, device, engine;
    std::vector<std::string> labels, templates;
    std::string labels_file;
    std::string v4l2, raw, raw_file, pictures, gstreamer;
    wish camera;
    clip::stream_options stream;
    clip::rule rule;
    double pace = 0, seconds = 0;
    std::size_t frames = 0;
    bool is_headless = false, has_policy = false;
};

extern const char *const usage;

/// Throws std::invalid_argument with a sentence.
options read_options(int count, char **arguments);
