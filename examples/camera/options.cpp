#include "options.hpp"

#include <cmath>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

const char *const usage =
    "usage: camera --model FOLDER [OPTIONS] SOURCE\n"
    "\n"
    "SOURCE\n"
    "  --v4l2 /dev/videoN           a camera; --size 1280x720, --rate 30, --format nv12|yuyv|uyvy|i420|mjpeg\n"
    "  --gstreamer PIPELINE         a pipeline without its sink, such as \"v4l2src ! videoconvert\"\n"
    "  --raw FORMAT:WxH FILE        raw frames of a file, a FIFO, or -\n"
    "  --pictures PATH              a folder of pictures, a picture, or a file .mjpeg\n"
    "  --pace N                     of files: N frames a second, as a camera would\n"
    "MODEL AND LABELS\n"
    "  --labels A,B,C               else those of --labels-file, else those stored in the folder\n"
    "  --labels-file FILE           one a line, or .safetensors that `clip-run labels` wrote\n"
    "  --template TEXT              such as \"a photo of a {}.\"; may be given several times\n"
    "  --device cpu|cuda:0, --engine NAME\n"
    "WHAT IS SHOWN\n"
    "  --smoothing 0.8              share of the past\n"
    "  --hold 3                     frames until another label is shown\n"
    "  --threshold 0.5              least probability of a label\n"
    "  --policy newest|oldest|block which frame goes when the model falls behind: the new one, the oldest, or none\n"
    "                               [default: block for files without --pace, else oldest]\n"
    "  --frames N, --seconds N      when to end\n"
    "  --headless                   lines of JSON\n";

namespace {

double number(const std::string &name, const std::string &text, double least, double most) {
    char *end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != 0 || !(value >= least && value <= most)) {
        std::ostringstream sentence;
        sentence << name << " " << text << ": write a number from " << least << " to " << most;
        throw std::invalid_argument(sentence.str());
    }
    return value;
}

std::size_t whole(const std::string &name, const std::string &text, double least, double most) {
    const double value = number(name, text, least, most);
    if (value != std::floor(value)) throw std::invalid_argument(name + " " + text + ": write a whole number");
    return std::size_t(value);
}

std::vector<std::string> split(const std::string &name, const std::string &text) {
    std::vector<std::string> all;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');) {
        if (part.find_first_not_of(" \t") == std::string::npos)
            throw std::invalid_argument(name + " " + text + ": label " + std::to_string(all.size() + 1) + " is empty");
        all.push_back(part);
    }
    if (all.empty()) throw std::invalid_argument(name + ": there is no label");
    return all;
}

} // namespace

options read_options(int count, char **arguments) {
    options read;
    std::size_t sources = 0;
    for (int i = 1; i < count; i++) {
        const std::string name = arguments[i];
        const auto value = [&]() -> std::string {
            if (i + 1 == count) throw std::invalid_argument(name + " needs a value");
            return arguments[++i];
        };
        if (name == "--model") read.model = value();
        else if (name == "--labels") read.labels = split(name, value());
        else if (name == "--labels-file") read.labels_file = value();
        else if (name == "--template") read.templates.push_back(value());
        else if (name == "--device") read.device = value();
        else if (name == "--engine") read.engine = value();
        else if (name == "--v4l2") read.v4l2 = value(), sources++;
        else if (name == "--gstreamer") read.gstreamer = value(), sources++;
        else if (name == "--pictures") read.pictures = value(), sources++;
        else if (name == "--raw") read.raw = value(), read.raw_file = value(), sources++;
        else if (name == "--format") read.camera.format = value();
        else if (name == "--rate") read.camera.rate = whole(name, value(), 1, 1000);
        else if (name == "--size") {
            const std::string size = value();
            const std::size_t x = size.find('x');
            if (x == std::string::npos) throw std::invalid_argument("--size " + size + ": write WIDTHxHEIGHT, such as 1280x720");
            read.camera.width = whole(name, size.substr(0, x), 1, 32768);
            read.camera.height = whole(name, size.substr(x + 1), 1, 32768);
        } else if (name == "--pace") read.pace = number(name, value(), 0.01, 10000);
        else if (name == "--smoothing") read.stream.smoothing = float(number(name, value(), 0, 0.9999));
        else if (name == "--hold") read.stream.hold = whole(name, value(), 1, 10000);
        else if (name == "--threshold") read.rule.min_probability = float(number(name, value(), 0, 1));
        else if (name == "--policy") {
            const std::string policy = value();
            read.has_policy = true;
            if (policy == "newest") read.stream.when_full = CLIP_DROP_NEWEST;
            else if (policy == "oldest") read.stream.when_full = CLIP_DROP_OLDEST;
            else if (policy == "block") read.stream.when_full = CLIP_BLOCK;
            else throw std::invalid_argument("--policy " + policy + ": write newest, oldest or block");
        } else if (name == "--frames") read.frames = whole(name, value(), 1, 1e15);
        else if (name == "--seconds") read.seconds = number(name, value(), 0.01, 1e9);
        else if (name == "--headless") read.is_headless = true;
        else throw std::invalid_argument("there is no option " + name + "; --help lists them");
    }
    if (read.model.empty()) throw std::invalid_argument("--model is missing: a folder that clip-export wrote");
    if (sources != 1) throw std::invalid_argument("name one source: --v4l2, --gstreamer, --raw or --pictures");
    if (!read.labels.empty() && !read.labels_file.empty()) throw std::invalid_argument("--labels and --labels-file contradict each other");
    // Files wait; cameras do not.
    if (!read.has_policy && read.v4l2.empty() && read.gstreamer.empty() && read.pace <= 0) read.stream.when_full = CLIP_BLOCK;
    return read;
}
