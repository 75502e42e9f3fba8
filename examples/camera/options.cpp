// What the program is called with.
#include "options.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace {

constexpr const char *HELP = R"(Says what a camera sees, with a model folder that clip-export wrote.

Usage: camera --model DIR [--labels A,B,... | --labels-file FILE] SOURCE [options]

Source, one of:
  --v4l2 DEVICE            A camera of Linux's, as /dev/video0
      --size WxH           What it is asked for [default: what it has]
      --format FORMAT      nv12, yuyv or mjpeg [default: the first that it has]
  --gstreamer PIPELINE     A pipeline without its last element, as "nvarguscamerasrc ! nvvidconv"
  --raw FORMAT:WxH FILE    Frames one behind the other, as nv12:1920x1080; "-" reads standard input
  --pictures FILE...       Pictures in turn, for as long as --seconds or --frames say
      --rate N             Pictures a second [default: 30]

Labels:
  --labels A,B,...         Labels to look for [default: those stored in the model folder]
  --labels-file FILE       File with one label a line
  --template TEXT          Text around a label, with {} in its place [default: {}]
  --threshold P            Probability that a label needs to be shown, 0 to 1 [default: 0]
  --smoothing S            Share of the past, 0 to below 1 [default: 0]
  --hold N                 Frames in a row in which another label has to be found [default: 1]

  --device DEVICE          cpu or cuda:0 [default: what the folder was made for]
  --when-full POLICY       drop or wait, when frames come faster than the model runs
                           [default: drop for cameras, wait for files]
  --seconds N, --frames N  When to end [default: with the source]
  --headless               One line of JSON for each frame, instead of a line for people
  -h, --help               Print help

Exit status: 0 when all went well, 1 when something failed, 2 for wrong arguments.
)";

[[noreturn]] void wrong(const std::string &reason) {
    std::fprintf(stderr, "error: %s; --help says more\n", reason.c_str());
    std::exit(2);
}

std::vector<std::string> listed(const std::string &text, char between) {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, between);) {
        const std::size_t begin = part.find_first_not_of(" \t\r"), end = part.find_last_not_of(" \t\r");
        if (begin != std::string::npos) all.push_back(part.substr(begin, end - begin + 1));
    }
    return all;
}

double number(const std::string &option, const char *text, double least, double most) {
    char *end = nullptr;
    const double value = std::strtod(text, &end);
    if (end == text || *end != 0 || !(value >= least && value <= most))
        wrong(option + " is " + text + ", expected a number from " + std::to_string(least) + " to " + std::to_string(most));
    return value;
}

} // namespace

options read_options(int argc, char **argv) {
    options found;
    int at = 1;
    const auto value = [&](const std::string &option) -> const char * {
        if (++at >= argc) wrong(option + " has no value");
        return argv[at];
    };
    for (; at < argc; at++) {
        const std::string option = argv[at];
        if (option == "-h" || option == "--help") {
            std::fputs(HELP, stdout);
            std::exit(0);
        } else if (option == "--model") {
            found.model = value(option);
        } else if (option == "--device") {
            found.device = value(option);
        } else if (option == "--labels") {
            found.labels = listed(value(option), ',');
            if (found.labels.empty()) wrong("--labels names none");
        } else if (option == "--labels-file") {
            const std::string file = value(option);
            std::ifstream in(file);
            std::stringstream text;
            if (!(text << in.rdbuf())) wrong("--labels-file: cannot read " + file + ", or it is empty");
            found.labels = listed(text.str(), '\n');
            if (found.labels.empty()) wrong("--labels-file: " + file + " has no label: write one a line");
        } else if (option == "--template") {
            found.template_text = value(option);
        } else if (option == "--v4l2") {
            found.v4l2 = value(option);
        } else if (option == "--gstreamer") {
            found.gstreamer = value(option);
        } else if (option == "--raw") {
            found.raw_format = value(option);
            found.raw_file = value(option);
        } else if (option == "--pictures") {
            while (at + 1 < argc && std::strncmp(argv[at + 1], "--", 2) != 0) found.pictures.push_back(argv[++at]);
            if (found.pictures.empty()) wrong("--pictures names none");
        } else if (option == "--rate") {
            found.rate = number(option, value(option), 0.01, 1e6);
        } else if (option == "--size") {
            int read = 0;
            const char *const size = value(option);
            if (std::sscanf(size, "%zux%zu%n", &found.camera.width, &found.camera.height, &read) != 2 || size[read] != 0) wrong(std::string("--size is ") + size + ", expected one as 1280x720");
        } else if (option == "--format") {
            found.camera.format = value(option);
        } else if (option == "--smoothing") {
            found.smoothing = static_cast<float>(number(option, value(option), 0, 0.999));
        } else if (option == "--threshold") {
            found.threshold = static_cast<float>(number(option, value(option), 0, 1));
        } else if (option == "--hold") {
            found.hold = static_cast<std::size_t>(number(option, value(option), 1, 1e6));
        } else if (option == "--seconds") {
            found.seconds = number(option, value(option), 0.001, 1e9);
        } else if (option == "--frames") {
            found.frames = static_cast<std::uint64_t>(number(option, value(option), 1, 1e12));
        } else if (option == "--when-full") {
            const std::string policy = value(option);
            if (policy != "drop" && policy != "wait") wrong("--when-full is " + policy + ", expected drop or wait");
            found.when_full = policy == "wait" ? CLIP_BLOCK : CLIP_DROP_OLDEST;
            found.is_policy_given = true;
        } else if (option == "--headless") {
            found.is_headless = true;
        } else {
            wrong(option + " is no option");
        }
    }
    const int sources = !found.v4l2.empty() + !found.gstreamer.empty() + !found.raw_file.empty() + !found.pictures.empty();
    if (found.model.empty()) wrong("--model is missing");
    if (sources != 1) wrong("name one source: --v4l2, --gstreamer, --raw or --pictures");
    if (!found.pictures.empty() && found.seconds <= 0 && found.frames == 0) wrong("pictures come again and again: say --seconds or --frames");
    return found;
}
