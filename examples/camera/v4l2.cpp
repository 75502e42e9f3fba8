// A camera of Linux: Video4Linux, with the driver's buffers mapped, so that uncompressed frames are read where the driver wrote them.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdexcept>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "source.hpp"

namespace {

struct pixel_format {
    const char *name;
    std::uint32_t v4l2;
    /// 0 for JPEGs.
    std::int32_t clip;
};

/// Best first: what takes the least work.
constexpr pixel_format formats[] = {{"nv12", V4L2_PIX_FMT_NV12, CLIP_FORMAT_NV12}, {"yuyv", V4L2_PIX_FMT_YUYV, CLIP_FORMAT_YUYV},
                                    {"uyvy", V4L2_PIX_FMT_UYVY, CLIP_FORMAT_UYVY}, {"i420", V4L2_PIX_FMT_YUV420, CLIP_FORMAT_I420},
                                    {"mjpeg", V4L2_PIX_FMT_MJPEG, 0},              {"jpeg", V4L2_PIX_FMT_JPEG, 0}};

struct mapping {
    void *address;
    std::size_t size;
};

class v4l2_source : public source {
public:
    v4l2_source(const clip::model &model, const std::string &device, const wish &wish) : model_(model), device_(device) {
        file_ = open(device.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (file_ < 0) fail("cannot be opened");
        try {
            start(wish);
        } catch (...) {
            end();
            throw;
        }
    }
    v4l2_source(const v4l2_source &) = delete;
    v4l2_source &operator=(const v4l2_source &) = delete;
    ~v4l2_source() override { end(); }

    std::optional<captured> next() override {
        for (;;) {
            give_back();
            if (!wait()) return std::nullopt;
            v4l2_buffer buffer = empty_buffer();
            if (call(VIDIOC_DQBUF, &buffer) != 0) {
                if (errno == EAGAIN) continue;
                fail("gives no more frames");
            }
            held_ = buffer.index;
            // Of a frame with an error, part may be missing; the next may be whole.
            if (buffer.flags & V4L2_BUF_FLAG_ERROR) continue;
            const bool has_time = (buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
            const std::uint64_t time = std::uint64_t(buffer.timestamp.tv_sec) * 1000000000 + std::uint64_t(buffer.timestamp.tv_usec) * 1000;
            std::optional<clip::frame> found = frame(buffer);
            if (found) return captured{*found, has_time ? time : now()};
        }
    }

private:
    [[noreturn]] void fail(const std::string &what) const {
        const int why = errno;
        const char *remedy = why == ENODEV  ? ": it was unplugged"
                             : why == EBUSY  ? ": another program uses it"
                             : why == EACCES ? ": be in the group video"
                                             : "";
        throw std::runtime_error(device_ + " " + what + ", " + std::strerror(why) + remedy);
    }
    [[noreturn]] void refuse(const std::string &what) const { throw std::runtime_error(device_ + " " + what); }

    int call(unsigned long request, void *argument) const {
        int result = 0;
        do
            result = ioctl(file_, request, argument);
        while (result == -1 && errno == EINTR && !stopped);
        return result;
    }

    static v4l2_buffer empty_buffer() {
        v4l2_buffer buffer{};
        buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        buffer.memory = V4L2_MEMORY_MMAP;
        return buffer;
    }

    void start(const wish &wish) {
        v4l2_capability capability{};
        if (call(VIDIOC_QUERYCAP, &capability) != 0) fail("is no camera");
        const std::uint32_t can = capability.capabilities & V4L2_CAP_DEVICE_CAPS ? capability.device_caps : capability.capabilities;
        if ((can & V4L2_CAP_VIDEO_CAPTURE) == 0)
            refuse(can & V4L2_CAP_VIDEO_CAPTURE_MPLANE ? "has planes in buffers of their own: take it with --gstreamer \"v4l2src device=" + device_ + "\""
                                                       : "captures no video: another /dev/video* of this camera may, see v4l2-ctl --list-devices");
        if ((can & V4L2_CAP_STREAMING) == 0) refuse("cannot map its buffers");
        choose(wish);
        if (wish.rate != 0) {
            v4l2_streamparm rate{};
            rate.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
            rate.parm.capture.timeperframe = {1, std::uint32_t(wish.rate)};
            if (call(VIDIOC_S_PARM, &rate) != 0 && errno != ENOTTY && errno != EINVAL) fail("refuses the frame rate");
        }
        map();
        int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (call(VIDIOC_STREAMON, &type) != 0) fail("does not start");
        is_on_ = true;
    }

    /// Agrees with the driver on a format and a size, of which it has the last word.
    void choose(const wish &wish) {
        std::vector<std::uint32_t> offered;
        v4l2_fmtdesc description{};
        description.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        for (; call(VIDIOC_ENUM_FMT, &description) == 0; description.index++)
            offered.push_back(description.pixelformat);
        for (const pixel_format &known : formats) {
            const bool is_wished = wish.format.empty() || wish.format == known.name;
            for (const std::uint32_t format : offered)
                if (is_wished && format == known.v4l2) return set(known, wish);
        }
        refuse(wish.format.empty() ? "has none of the formats NV12, YUYV, UYVY, I420 and MJPEG"
                                   : "does not have the format " + wish.format + ", see v4l2-ctl --list-formats-ext");
    }

    void set(const pixel_format &format, const wish &wish) {
        v4l2_format set{};
        set.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (call(VIDIOC_G_FMT, &set) != 0) fail("tells no format");
        if (wish.width != 0) {
            set.fmt.pix.width = std::uint32_t(wish.width);
            set.fmt.pix.height = std::uint32_t(wish.height);
        }
        set.fmt.pix.pixelformat = format.v4l2;
        set.fmt.pix.field = V4L2_FIELD_NONE;
        set.fmt.pix.bytesperline = 0;
        set.fmt.pix.sizeimage = 0;
        if (call(VIDIOC_S_FMT, &set) != 0) fail("refuses its format");
        if (set.fmt.pix.pixelformat != format.v4l2) refuse(std::string("offers the format ") + format.name + " but does not give it");
        format_ = format.clip;
        is_ = set.fmt.pix;
    }

    void map() {
        v4l2_requestbuffers request{};
        request.count = 4;
        request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        request.memory = V4L2_MEMORY_MMAP;
        if (call(VIDIOC_REQBUFS, &request) != 0) fail("gives no buffers");
        if (request.count < 2) refuse("gives " + std::to_string(request.count) + " buffers, of which two are needed");
        for (std::uint32_t i = 0; i < request.count; i++) {
            v4l2_buffer buffer = empty_buffer();
            buffer.index = i;
            if (call(VIDIOC_QUERYBUF, &buffer) != 0) fail("does not describe its buffers");
            void *address = mmap(nullptr, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, file_, buffer.m.offset);
            if (address == MAP_FAILED) fail("does not map its buffers");
            buffers_.push_back({address, buffer.length});
            if (call(VIDIOC_QBUF, &buffer) != 0) fail("does not take its buffers");
        }
    }

    /// False when a signal ends the program.
    bool wait() {
        for (int waited = 0; !stopped;) {
            pollfd event{file_, POLLIN, 0};
            const int ready = poll(&event, 1, 100);
            if (ready < 0 && errno != EINTR) fail("cannot be waited for");
            if (ready > 0 && (event.revents & POLLIN)) return true;
            if (ready > 0) {
                errno = event.revents & POLLHUP ? ENODEV : EIO;
                fail("gives no more frames");
            }
            if (ready == 0 && ++waited == 50) refuse("has given no frame for 5 s");
        }
        return false;
    }

    void give_back() {
        if (!held_) return;
        v4l2_buffer buffer = empty_buffer();
        buffer.index = *held_;
        held_.reset();
        if (call(VIDIOC_QBUF, &buffer) != 0) fail("takes a buffer no more");
    }

    /// None where the driver gave less than a frame, which cameras do as they start.
    std::optional<clip::frame> frame(const v4l2_buffer &buffer) {
        const auto *bytes = static_cast<const std::uint8_t *>(buffers_[buffer.index].address);
        if (format_ == 0) {
            try {
                image_ = clip::image::decode(model_, {bytes, buffer.bytesused});
            } catch (const clip::error &error) {
                if (error.status() != CLIP_ERROR_IMAGE || ++damaged_ < 30) {
                    if (error.status() == CLIP_ERROR_IMAGE) return std::nullopt;
                    throw;
                }
                refuse(std::string("has given 30 damaged JPEGs in a row: ") + error.what());
            }
            damaged_ = 0;
            return image_->frame();
        }
        clip::frame found(format_, is_.width, is_.height);
        const std::size_t stride = is_.bytesperline, luma = stride * is_.height;
        const std::size_t half = stride / 2, chroma = (std::size_t(is_.height) + 1) / 2;
        found.planes[0] = bytes;
        found.strides[0] = stride;
        std::size_t size = luma;
        if (format_ == CLIP_FORMAT_NV12) {
            found.planes[1] = bytes + luma;
            found.strides[1] = stride;
            size += stride * chroma;
        } else if (format_ == CLIP_FORMAT_I420) {
            found.planes[1] = bytes + luma;
            found.planes[2] = bytes + luma + half * chroma;
            found.strides[1] = found.strides[2] = half;
            size += 2 * half * chroma;
        }
        if (buffer.bytesused < size) return std::nullopt;
        describe(found);
        return found;
    }

    /// What the driver says of its colours, with V4L2's own defaults.
    void describe(clip::frame &found) const {
        std::uint32_t matrix = is_.ycbcr_enc;
        if (matrix == V4L2_YCBCR_ENC_DEFAULT) matrix = V4L2_MAP_YCBCR_ENC_DEFAULT(is_.colorspace);
        found.matrix = matrix == V4L2_YCBCR_ENC_709      ? CLIP_MATRIX_BT709
                       : matrix == V4L2_YCBCR_ENC_BT2020 ? CLIP_MATRIX_BT2020
                                                         : CLIP_MATRIX_BT601;
        std::uint32_t range = is_.quantization;
        if (range == V4L2_QUANTIZATION_DEFAULT) range = V4L2_MAP_QUANTIZATION_DEFAULT(false, is_.colorspace, matrix);
        found.range = range == V4L2_QUANTIZATION_FULL_RANGE ? CLIP_RANGE_FULL : CLIP_RANGE_LIMITED;
    }

    void end() {
        int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (is_on_) ioctl(file_, VIDIOC_STREAMOFF, &type);
        for (const mapping &buffer : buffers_)
            munmap(buffer.address, buffer.size);
        close(file_);
    }

    const clip::model &model_;
    std::string device_;
    int file_ = -1, damaged_ = 0;
    bool is_on_ = false;
    std::int32_t format_ = 0;
    v4l2_pix_format is_{};
    std::vector<mapping> buffers_;
    std::optional<std::uint32_t> held_;
    std::optional<clip::image> image_;
};

} // namespace

std::unique_ptr<source> open_v4l2(const clip::model &model, const std::string &device, const wish &wish) {
    return std::make_unique<v4l2_source>(model, device, wish);
}
