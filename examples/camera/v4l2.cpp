// A camera of Linux's: Video4Linux2, with its buffers mapped into this program.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "source.hpp"

namespace {

/// How long to wait before looking whether the program is to end, milliseconds.
constexpr int LOOK = 200;
constexpr unsigned BUFFERS = 4;

struct format {
    const char *name;
    std::uint32_t fourcc;
    /// 0 for JPEGs.
    std::int32_t clip;
};

/// Formats that are taken, the first ones rather: those that need no decoder.
constexpr format FORMATS[] = {
    {"nv12", V4L2_PIX_FMT_NV12, CLIP_FORMAT_NV12},
    {"yuyv", V4L2_PIX_FMT_YUYV, CLIP_FORMAT_YUYV},
    {"mjpeg", V4L2_PIX_FMT_MJPEG, 0},
    {"mjpeg", V4L2_PIX_FMT_JPEG, 0},
};

class v4l2 final : public source {
public:
    v4l2(std::string device, const wanted &wanted, const clip::model &model) : device_(std::move(device)), model_(model) {
        fd_ = ::open(device_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (fd_ < 0) fail("cannot open it");
        try {
            start(wanted);
        } catch (...) {
            close();
            throw;
        }
    }

    ~v4l2() override { close(); }

    bool next(const std::function<bool()> &is_over, const std::function<void(const clip::frame &, clock_type::time_point)> &take) override {
        for (;;) {
            if (is_over()) return false;
            pollfd waited{fd_, POLLIN, 0};
            const int found = ::poll(&waited, 1, LOOK);
            if (found < 0 && errno != EINTR) fail("cannot wait for it");
            if (found <= 0) continue;
            if ((waited.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
                errno = ENODEV;
                fail("it gives no more frames");
            }
            v4l2_buffer buffer = described(0);
            if (call(VIDIOC_DQBUF, &buffer)) {
                const bool whole = (buffer.flags & V4L2_BUF_FLAG_ERROR) == 0 && buffer.bytesused > 0;
                if (whole) give(buffer, take);
                if (!call(VIDIOC_QBUF, &buffer)) fail("it takes a buffer not back");
                if (whole) return true;
            } else if (errno != EAGAIN) {
                fail("it gives no more frames");
            }
        }
    }

    std::string describe() const override {
        return device_ + ", " + std::to_string(width_) + "x" + std::to_string(height_) + " " + format_->name;
    }

    bool is_live() const override { return true; }

private:
    struct mapping {
        void *address;
        std::size_t size;
    };

    [[noreturn]] void fail(const std::string &what) const {
        const char *const reason = errno == ENODEV ? "the device is gone" : std::strerror(errno);
        throw source_error(device_ + ": " + what + ": " + reason);
    }

    /// True when it works; calls that a signal has interrupted are made again.
    bool call(unsigned long request, void *argument) const {
        int result;
        do result = ::ioctl(fd_, request, argument);
        while (result < 0 && errno == EINTR);
        return result >= 0;
    }

    static v4l2_buffer described(unsigned index) {
        v4l2_buffer buffer{};
        buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        buffer.memory = V4L2_MEMORY_MMAP;
        buffer.index = index;
        return buffer;
    }

    void start(const wanted &wanted) {
        v4l2_capability can{};
        if (!call(VIDIOC_QUERYCAP, &can)) fail("it is no camera");
        const std::uint32_t own = (can.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? can.device_caps : can.capabilities;
        if ((own & V4L2_CAP_VIDEO_CAPTURE) == 0 || (own & V4L2_CAP_STREAMING) == 0)
            throw source_error(device_ + ": it is no camera that streams; a Jetson's own cameras are read by --gstreamer nvarguscamerasrc");
        negotiate(wanted);
        v4l2_requestbuffers request{};
        request.count = BUFFERS;
        request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        request.memory = V4L2_MEMORY_MMAP;
        if (!call(VIDIOC_REQBUFS, &request) || request.count == 0) fail("it gives no buffers");
        for (unsigned i = 0; i < request.count; i++) {
            v4l2_buffer buffer = described(i);
            if (!call(VIDIOC_QUERYBUF, &buffer)) fail("it gives no buffers");
            void *const address = ::mmap(nullptr, buffer.length, PROT_READ, MAP_SHARED, fd_, static_cast<off_t>(buffer.m.offset));
            if (address == MAP_FAILED) fail("its buffers cannot be mapped");
            mapped_.push_back({address, buffer.length});
            if (!call(VIDIOC_QBUF, &buffer)) fail("it takes no buffers");
        }
        int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (!call(VIDIOC_STREAMON, &type)) fail("it does not start");
    }

    /// Has the camera agree to the first format that it has of those that are taken.
    void negotiate(const wanted &wanted) {
        for (const format &format : FORMATS) {
            if (!wanted.format.empty() && wanted.format != format.name) continue;
            v4l2_format set{};
            set.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
            if (!call(VIDIOC_G_FMT, &set)) fail("it says no format");
            if (wanted.width != 0) set.fmt.pix.width = static_cast<std::uint32_t>(wanted.width);
            if (wanted.height != 0) set.fmt.pix.height = static_cast<std::uint32_t>(wanted.height);
            set.fmt.pix.pixelformat = format.fourcc;
            set.fmt.pix.field = V4L2_FIELD_NONE;
            set.fmt.pix.bytesperline = 0;
            if (!call(VIDIOC_S_FMT, &set)) {
                if (errno == EINVAL) continue;
                fail("it takes no format");
            }
            // A camera answers with what it has instead.
            if (set.fmt.pix.pixelformat != format.fourcc) continue;
            const bool is_other = (wanted.width != 0 && set.fmt.pix.width != wanted.width) || (wanted.height != 0 && set.fmt.pix.height != wanted.height);
            if (is_other)
                throw source_error(device_ + ": it has no " + std::to_string(wanted.width) + "x" + std::to_string(wanted.height) + " in " + format.name
                                   + ", but " + std::to_string(set.fmt.pix.width) + "x" + std::to_string(set.fmt.pix.height));
            format_ = &format;
            width_ = set.fmt.pix.width;
            height_ = set.fmt.pix.height;
            stride_ = set.fmt.pix.bytesperline;
            range_ = set.fmt.pix.quantization == V4L2_QUANTIZATION_FULL_RANGE ? CLIP_RANGE_FULL : 0;
            return;
        }
        throw source_error(device_ + ": it has none of nv12, yuyv and mjpeg" + (wanted.format.empty() ? "" : " that was asked for, " + wanted.format));
    }

    void give(const v4l2_buffer &buffer, const std::function<void(const clip::frame &, clock_type::time_point)> &take) const {
        const auto *const bytes = static_cast<const std::uint8_t *>(mapped_.at(buffer.index).address);
        if (format_->clip == 0) {
            try {
                const clip::image image = clip::image::decode(model_, clip::span<const std::uint8_t>(bytes, buffer.bytesused));
                take(image.frame(), captured(buffer));
            } catch (const clip::error &error) {
                // Cameras send a broken picture now and then.
                if (error.status() != CLIP_ERROR_IMAGE) throw;
            }
            return;
        }
        clip::frame frame(format_->clip, width_, height_);
        frame.range = range_;
        frame.planes[0] = bytes;
        frame.strides[0] = stride_;
        if (format_->clip == CLIP_FORMAT_NV12) {
            frame.planes[1] = bytes + stride_ * height_;
            frame.strides[1] = stride_;
        }
        take(frame, captured(buffer));
    }

    /// The driver's own time, where it is of the same clock.
    static clock_type::time_point captured(const v4l2_buffer &buffer) {
        if ((buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC) return clock_type::now();
        return clock_type::time_point(std::chrono::seconds(buffer.timestamp.tv_sec) + std::chrono::microseconds(buffer.timestamp.tv_usec));
    }

    void close() {
        if (fd_ < 0) return;
        int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        call(VIDIOC_STREAMOFF, &type);
        for (const mapping &mapping : mapped_) ::munmap(mapping.address, mapping.size);
        ::close(fd_);
        fd_ = -1;
    }

    std::string device_;
    const clip::model &model_;
    int fd_ = -1;
    const format *format_ = nullptr;
    std::size_t width_ = 0, height_ = 0, stride_ = 0;
    std::int32_t range_ = 0;
    std::vector<mapping> mapped_;
};

} // namespace

std::unique_ptr<source> open_v4l2(const std::string &device, const wanted &wanted, const clip::model &model) {
    return std::make_unique<v4l2>(device, wanted, model);
}
