// Whatever GStreamer takes frames from: CSI cameras of Jetson, RTSP, files.
#include <stdexcept>

#include "source.hpp"

#ifdef HAVE_GSTREAMER

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

namespace {

constexpr const char *sink = " ! appsink name=libclip_sink max-buffers=2 sync=false";
/// In the processor's memory: NVIDIA's is a feature of caps, video/x-raw(memory:NVMM), which these do not have.
constexpr const char *taken = "video/x-raw,format=(string){NV12,NV21,I420,YUY2,UYVY,RGB,BGR,RGBA,BGRA,RGBx,BGRx,GRAY8}";

std::int32_t format_of(GstVideoFormat format) {
    switch (format) {
    case GST_VIDEO_FORMAT_NV12: return CLIP_FORMAT_NV12;
    case GST_VIDEO_FORMAT_NV21: return CLIP_FORMAT_NV21;
    case GST_VIDEO_FORMAT_I420: return CLIP_FORMAT_I420;
    case GST_VIDEO_FORMAT_YUY2: return CLIP_FORMAT_YUYV;
    case GST_VIDEO_FORMAT_UYVY: return CLIP_FORMAT_UYVY;
    case GST_VIDEO_FORMAT_RGB: return CLIP_FORMAT_RGB;
    case GST_VIDEO_FORMAT_BGR: return CLIP_FORMAT_BGR;
    case GST_VIDEO_FORMAT_RGBA:
    case GST_VIDEO_FORMAT_RGBx: return CLIP_FORMAT_RGBA;
    case GST_VIDEO_FORMAT_BGRA:
    case GST_VIDEO_FORMAT_BGRx: return CLIP_FORMAT_BGRA;
    case GST_VIDEO_FORMAT_GRAY8: return CLIP_FORMAT_GRAY8;
    default: throw std::runtime_error("the pipeline gives a format that was not asked for");
    }
}

/// Says that rows may lie as the buffer says; else elements copy each frame before they give it to a sink.
GstPadProbeReturn answer(GstPad *, GstPadProbeInfo *info, gpointer) {
    GstQuery *query = GST_PAD_PROBE_INFO_QUERY(info);
    if (GST_QUERY_TYPE(query) == GST_QUERY_ALLOCATION) gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
    return GST_PAD_PROBE_OK;
}

class gstreamer_source : public source {
public:
    explicit gstreamer_source(const std::string &pipeline) {
        GError *error = nullptr;
        if (!gst_init_check(nullptr, nullptr, &error)) refuse("GStreamer does not start", error);
        pipeline_ = gst_parse_launch((pipeline + sink).c_str(), &error);
        if (error != nullptr || pipeline_ == nullptr) {
            if (pipeline_ != nullptr) gst_object_unref(pipeline_);
            refuse("this is no pipeline without its sink: " + pipeline, error);
        }
        sink_ = gst_bin_get_by_name(GST_BIN(pipeline_), "libclip_sink");
        GstCaps *caps = gst_caps_from_string(taken);
        gst_app_sink_set_caps(GST_APP_SINK(sink_), caps);
        gst_caps_unref(caps);
        GstPad *pad = gst_element_get_static_pad(sink_, "sink");
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, answer, nullptr, nullptr);
        gst_object_unref(pad);
        // Why it does not start is told by a message, which next() reads.
        gst_element_set_state(pipeline_, GST_STATE_PLAYING);
    }
    gstreamer_source(const gstreamer_source &) = delete;
    gstreamer_source &operator=(const gstreamer_source &) = delete;
    ~gstreamer_source() override {
        let_go();
        gst_element_set_state(pipeline_, GST_STATE_NULL);
        gst_object_unref(sink_);
        gst_object_unref(pipeline_);
    }

    std::optional<captured> next() override {
        let_go();
        while (!stopped) {
            sample_ = gst_app_sink_try_pull_sample(GST_APP_SINK(sink_), 100 * GST_MSECOND);
            if (sample_ != nullptr) return map();
            look_for_errors();
            if (gst_app_sink_is_eos(GST_APP_SINK(sink_))) break;
        }
        return std::nullopt;
    }

private:
    [[noreturn]] static void refuse(const std::string &what, GError *error) {
        std::string sentence = what;
        if (error != nullptr) sentence += std::string(": ") + error->message;
        g_clear_error(&error);
        throw std::runtime_error(sentence);
    }

    void look_for_errors() const {
        GstBus *bus = gst_element_get_bus(pipeline_);
        GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
        gst_object_unref(bus);
        if (message == nullptr) return;
        GError *error = nullptr;
        gst_message_parse_error(message, &error, nullptr);
        const std::string from = GST_OBJECT_NAME(GST_MESSAGE_SRC(message));
        gst_message_unref(message);
        refuse("the pipeline's " + from + " failed", error);
    }

    /// The sample where it lies; nothing is copied.
    captured map() {
        GstVideoInfo info;
        if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample_))
            || !gst_video_frame_map(&mapped_, &info, gst_sample_get_buffer(sample_), GST_MAP_READ))
            throw std::runtime_error("a frame of the pipeline cannot be read by the processor");
        is_mapped_ = true;
        captured found{clip::frame(format_of(GST_VIDEO_INFO_FORMAT(&info)), std::size_t(info.width), std::size_t(info.height)), now()};
        for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES(&mapped_); i++) {
            found.frame.planes[i] = static_cast<const std::uint8_t *>(GST_VIDEO_FRAME_PLANE_DATA(&mapped_, i));
            found.frame.strides[i] = std::size_t(GST_VIDEO_FRAME_PLANE_STRIDE(&mapped_, i));
        }
        const GstVideoColorimetry &colours = info.colorimetry;
        if (colours.matrix == GST_VIDEO_COLOR_MATRIX_BT601) found.frame.matrix = CLIP_MATRIX_BT601;
        if (colours.matrix == GST_VIDEO_COLOR_MATRIX_BT709) found.frame.matrix = CLIP_MATRIX_BT709;
        if (colours.matrix == GST_VIDEO_COLOR_MATRIX_BT2020) found.frame.matrix = CLIP_MATRIX_BT2020;
        if (GST_VIDEO_INFO_IS_YUV(&info) && colours.range == GST_VIDEO_COLOR_RANGE_0_255) found.frame.range = CLIP_RANGE_FULL;
        return found;
    }

    void let_go() {
        if (is_mapped_) gst_video_frame_unmap(&mapped_);
        is_mapped_ = false;
        if (sample_ != nullptr) gst_sample_unref(sample_);
        sample_ = nullptr;
    }

    GstElement *pipeline_ = nullptr, *sink_ = nullptr;
    GstSample *sample_ = nullptr;
    GstVideoFrame mapped_{};
    bool is_mapped_ = false;
};

} // namespace

std::unique_ptr<source> open_gstreamer(const std::string &pipeline) { return std::make_unique<gstreamer_source>(pipeline); }

#else

std::unique_ptr<source> open_gstreamer(const std::string &) {
    throw std::runtime_error("this program was compiled without GStreamer: install libgstreamer-plugins-base1.0-dev, then make clean all");
}

#endif
