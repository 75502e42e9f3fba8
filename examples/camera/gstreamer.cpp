// A pipeline of GStreamer's, whose frames an appsink gives.
#ifdef WITH_GSTREAMER

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "source.hpp"

namespace {

constexpr const char *CAPS = "video/x-raw, format=(string){ NV12, I420, YUY2, UYVY, RGB, BGR, RGBA, BGRA, GRAY8 }";

std::int32_t format_of(GstVideoFormat format) {
    switch (format) {
    case GST_VIDEO_FORMAT_NV12: return CLIP_FORMAT_NV12;
    case GST_VIDEO_FORMAT_I420: return CLIP_FORMAT_I420;
    case GST_VIDEO_FORMAT_YUY2: return CLIP_FORMAT_YUYV;
    case GST_VIDEO_FORMAT_UYVY: return CLIP_FORMAT_UYVY;
    case GST_VIDEO_FORMAT_RGB: return CLIP_FORMAT_RGB;
    case GST_VIDEO_FORMAT_BGR: return CLIP_FORMAT_BGR;
    case GST_VIDEO_FORMAT_RGBA: return CLIP_FORMAT_RGBA;
    case GST_VIDEO_FORMAT_BGRA: return CLIP_FORMAT_BGRA;
    case GST_VIDEO_FORMAT_GRAY8: return CLIP_FORMAT_GRAY8;
    default: return 0;
    }
}

std::int32_t matrix_of(GstVideoColorMatrix matrix) {
    switch (matrix) {
    case GST_VIDEO_COLOR_MATRIX_BT601: return CLIP_MATRIX_BT601;
    case GST_VIDEO_COLOR_MATRIX_BT709: return CLIP_MATRIX_BT709;
    case GST_VIDEO_COLOR_MATRIX_BT2020: return CLIP_MATRIX_BT2020;
    default: return 0;
    }
}

class pipeline final : public source {
public:
    explicit pipeline(const std::string &description) : description_(description) {
        gst_init(nullptr, nullptr);
        GError *error = nullptr;
        // A live pipeline drops before this what the model has no time for, where it says so: "... ! queue leaky=downstream".
        const std::string whole = description + " ! appsink name=clip_frames max-buffers=2 drop=false";
        pipeline_ = gst_parse_launch(whole.c_str(), &error);
        if (error != nullptr) {
            const std::string reason = error->message;
            g_error_free(error);
            if (pipeline_ != nullptr) gst_object_unref(pipeline_);
            throw source_error("the pipeline cannot be made: " + reason);
        }
        sink_ = gst_bin_get_by_name(GST_BIN(pipeline_), "clip_frames");
        GstCaps *const caps = gst_caps_from_string(CAPS);
        gst_app_sink_set_caps(GST_APP_SINK(sink_), caps);
        gst_caps_unref(caps);
        gst_element_set_state(pipeline_, GST_STATE_PLAYING);
    }

    ~pipeline() override {
        gst_element_set_state(pipeline_, GST_STATE_NULL);
        gst_object_unref(sink_);
        gst_object_unref(pipeline_);
    }

    bool next(const std::function<bool()> &is_over, const std::function<void(const clip::frame &, clock_type::time_point)> &take) override {
        for (;;) {
            if (is_over()) return false;
            check();
            GstSample *const sample = gst_app_sink_try_pull_sample(GST_APP_SINK(sink_), 100 * GST_MSECOND);
            if (sample == nullptr) {
                if (gst_app_sink_is_eos(GST_APP_SINK(sink_))) return check(), false;
                continue;
            }
            give(sample, take);
            return true;
        }
    }

    std::string describe() const override { return description_; }

    bool is_live() const override { return false; }

private:
    /// Says what went wrong, where something did.
    void check() const {
        GstBus *const bus = gst_element_get_bus(pipeline_);
        GstMessage *const message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
        gst_object_unref(bus);
        if (message == nullptr) return;
        GError *error = nullptr;
        gst_message_parse_error(message, &error, nullptr);
        const std::string reason = error->message;
        g_error_free(error);
        gst_message_unref(message);
        throw source_error("the pipeline fails: " + reason);
    }

    static void give(GstSample *sample, const std::function<void(const clip::frame &, clock_type::time_point)> &take) {
        const std::unique_ptr<GstSample, decltype(&gst_sample_unref)> kept(sample, gst_sample_unref);
        GstVideoInfo info;
        GstVideoFrame video;
        if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) || !gst_video_frame_map(&video, &info, gst_sample_get_buffer(sample), GST_MAP_READ))
            throw source_error("the pipeline gives frames that cannot be read; put nvvidconv or videoconvert at its end");
        const std::unique_ptr<GstVideoFrame, decltype(&gst_video_frame_unmap)> mapped(&video, gst_video_frame_unmap);
        clip::frame frame(format_of(GST_VIDEO_FRAME_FORMAT(&video)), static_cast<std::size_t>(info.width), static_cast<std::size_t>(info.height));
        frame.matrix = matrix_of(info.colorimetry.matrix);
        frame.range = info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255 ? CLIP_RANGE_FULL : 0;
        for (unsigned plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(&video) && plane < 3; plane++) {
            frame.planes[plane] = static_cast<const std::uint8_t *>(GST_VIDEO_FRAME_PLANE_DATA(&video, plane));
            frame.strides[plane] = static_cast<std::size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&video, plane));
        }
        take(frame, clock_type::now());
    }

    std::string description_;
    GstElement *pipeline_ = nullptr, *sink_ = nullptr;
};

} // namespace

std::unique_ptr<source> open_gstreamer(const std::string &description) { return std::make_unique<pipeline>(description); }

#else

#include "source.hpp"

std::unique_ptr<source> open_gstreamer(const std::string &) {
    throw source_error("this program was built without GStreamer: install libgstreamer-plugins-base1.0-dev, and `make clean all`");
}

#endif
