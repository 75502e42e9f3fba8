// A cv::Mat as a frame of libclip: its pixels are read where they lie.
#pragma once

#include <stdexcept>

#include <opencv2/core.hpp>

#include "clip.hpp"

/// What a cv::Mat does not tell of itself: what its numbers are. `bgr` is also grey where there is one channel, 8 or 16 bits.
enum class pixels { bgr, rgb, nv12, i420, yuyv, uyvy };

/// The frame reads the Mat's memory, so the Mat has to live as long, and must not be written to meanwhile. A Mat of NV12 or I420 has one
/// channel, and half as many rows again as the picture: as VideoCapture gives it without CAP_PROP_CONVERT_RGB, and cvtColor takes it.
inline clip::frame frame_of(const cv::Mat &mat, pixels what = pixels::bgr) {
    const auto take = [&](std::int32_t format, int type) {
        if (mat.empty() || mat.dims != 2) throw std::invalid_argument("the cv::Mat holds no picture");
        if (mat.type() != type) throw std::invalid_argument("the cv::Mat is " + cv::typeToString(mat.type()) + ", not " + cv::typeToString(type));
        clip::frame frame(format, std::size_t(mat.cols), std::size_t(mat.rows));
        frame.planes[0] = mat.data;
        frame.strides[0] = mat.step;
        return frame;
    };
    const auto planar = [&](std::int32_t format) {
        clip::frame frame = take(format, CV_8UC1);
        if (mat.rows % 3 != 0 || mat.cols % 2 != 0) throw std::invalid_argument("the rows of the cv::Mat are no picture and half as many again");
        frame.height = std::size_t(mat.rows) / 3 * 2;
        frame.planes[1] = mat.data + mat.step * frame.height;
        frame.strides[1] = mat.step;
        return frame;
    };
    switch (what) {
    case pixels::rgb: return take(CLIP_FORMAT_RGB, CV_8UC3);
    case pixels::yuyv: return take(CLIP_FORMAT_YUYV, CV_8UC2);
    case pixels::uyvy: return take(CLIP_FORMAT_UYVY, CV_8UC2);
    case pixels::nv12: return planar(CLIP_FORMAT_NV12);
    case pixels::i420: {
        // Two rows of U or V stand side by side in one of the Mat, so a row of theirs goes on where the one before ended: no padding.
        if (!mat.isContinuous() || mat.rows % 6 != 0) throw std::invalid_argument("a cv::Mat of I420 has no padding, and four rows to each of U and V");
        clip::frame frame = planar(CLIP_FORMAT_I420);
        frame.strides[1] = frame.strides[2] = frame.width / 2;
        frame.planes[2] = frame.planes[1] + frame.width / 2 * (frame.height / 2);
        return frame;
    }
    case pixels::bgr: break;
    }
    if (mat.type() == CV_8UC1) return take(CLIP_FORMAT_GRAY8, CV_8UC1);
    if (mat.type() == CV_16UC1) return take(CLIP_FORMAT_GRAY16, CV_16UC1);
    if (mat.type() == CV_8UC4) return take(CLIP_FORMAT_BGRA, CV_8UC4);
    return take(CLIP_FORMAT_BGR, CV_8UC3);
}
