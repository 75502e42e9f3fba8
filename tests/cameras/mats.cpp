// Classifies a picture as each kind of cv::Mat: `mats MODEL_FOLDER PICTURE LABEL OTHER_LABEL` prints a line for each, its name and the first label's probability.
#include <cstdio>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "frame.hpp"

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    const clip::model model = clip::model::open(argv[1]);
    const clip::labels labels = clip::labels::encode(model, {argv[3], argv[4]});
    const auto say = [&](const char *name, const cv::Mat &mat, pixels what = pixels::bgr) {
        for (const clip::match &found : model.classify(frame_of(mat, what), labels, 2))
            if (found.index == 0) std::printf("%s %.6f\n", name, double(found.probability));
    };
    const cv::Mat bgr = cv::imread(argv[2]);
    say("bgr", bgr);

    // A part of a larger one, whose rows lie further apart.
    cv::Mat large(bgr.rows + 20, bgr.cols + 30, CV_8UC3, cv::Scalar(7, 77, 177));
    cv::Mat part = large(cv::Rect(11, 5, bgr.cols, bgr.rows));
    bgr.copyTo(part);
    say("part", part);

    cv::Mat other;
    cv::cvtColor(bgr, other, cv::COLOR_BGR2BGRA);
    say("bgra", other);
    cv::cvtColor(bgr, other, cv::COLOR_BGR2RGB);
    say("rgb", other, pixels::rgb);
    cv::cvtColor(bgr, other, cv::COLOR_BGR2GRAY);
    say("grey", other);
    cv::Mat deep;
    other.convertTo(deep, CV_16U, 257);
    say("grey16", deep);

    cv::Mat planar;
    cv::cvtColor(bgr, planar, cv::COLOR_BGR2YUV_I420);
    say("i420", planar, pixels::i420);
    cv::Mat pairs = planar.clone();
    const int quarter = bgr.rows * bgr.cols / 4;
    for (int i = 0; i < quarter; i++) {
        pairs.ptr(bgr.rows)[2 * i] = planar.ptr(bgr.rows)[i];
        pairs.ptr(bgr.rows)[2 * i + 1] = planar.ptr(bgr.rows)[quarter + i];
    }
    say("nv12", pairs, pixels::nv12);

    cv::Mat wrong(4, 4, CV_32FC3);
    for (const cv::Mat &mat : {wrong, cv::Mat()}) {
        try {
            say("wrong", mat);
        } catch (const std::invalid_argument &error) {
            std::printf("%s\n", error.what());
        }
    }
    return 0;
}
