// Says what OpenCV reads: pictures, a video, or a camera. README.md tells what to type.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/videoio.hpp>

#include "../labels_file.hpp"
#include "frame.hpp"

namespace {

void say(const clip::model &model, const clip::labels &labels, const std::string &what, const cv::Mat &mat) {
    const clip::match best = model.classify(frame_of(mat), labels, 1).at(0);
    std::printf("%s: %s, %.1f %%\n", what.c_str(), labels.name(best.index), 100.0 * double(best.probability));
}

/// A number is that of a camera.
void watch(const clip::model &model, const clip::labels &labels, const std::string &name) {
    const bool is_camera = name.find_first_not_of("0123456789") == std::string::npos;
    cv::VideoCapture video;
    if (!(is_camera ? video.open(std::atoi(name.c_str())) : video.open(name))) throw std::runtime_error("OpenCV opens no video " + name);
    cv::Mat mat;
    for (int n = 0; video.read(mat); n++)
        say(model, labels, "frame " + std::to_string(n), mat);
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 4 || (std::string(argv[3]) == "--video" && argc != 5)) {
        std::fprintf(stderr, "usage: %s MODEL_FOLDER LABELS_FILE PICTURE...|--video FILE_OR_NUMBER\n", argv[0]);
        return 2;
    }
    try {
        const clip::model model = clip::model::open(argv[1]);
        const clip::labels labels = clip::labels::encode(model, read_labels_file(argv[2]));
        if (std::string(argv[3]) == "--video") {
            watch(model, labels, argv[4]);
            return 0;
        }
        for (int i = 3; i < argc; i++) {
            const cv::Mat mat = cv::imread(argv[i]);
            if (mat.empty()) throw std::runtime_error(std::string("OpenCV reads no picture ") + argv[i]);
            say(model, labels, argv[i], mat);
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
