// Frames one behind the other in a file or a pipe, as `ffmpeg -f rawvideo` and many cameras' tools write them.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "source.hpp"

namespace {

struct layout {
    const char *name;
    std::int32_t format;
    /// Bytes of a row and rows of each plane, of the width and height rounded up to what a sample of colour covers.
    std::vector<std::pair<std::size_t, std::size_t>> (*planes)(std::size_t width, std::size_t height);
};

std::vector<std::pair<std::size_t, std::size_t>> packed(std::size_t bytes, std::size_t height) { return {{bytes, height}}; }
std::size_t half(std::size_t n) { return (n + 1) / 2; }

const layout LAYOUTS[] = {
    {"nv12", CLIP_FORMAT_NV12, [](std::size_t w, std::size_t h) { return std::vector<std::pair<std::size_t, std::size_t>>{{w, h}, {2 * half(w), half(h)}}; }},
    {"i420", CLIP_FORMAT_I420, [](std::size_t w, std::size_t h) { return std::vector<std::pair<std::size_t, std::size_t>>{{w, h}, {half(w), half(h)}, {half(w), half(h)}}; }},
    {"yuyv", CLIP_FORMAT_YUYV, [](std::size_t w, std::size_t h) { return packed(4 * half(w), h); }},
    {"uyvy", CLIP_FORMAT_UYVY, [](std::size_t w, std::size_t h) { return packed(4 * half(w), h); }},
    {"rgb", CLIP_FORMAT_RGB, [](std::size_t w, std::size_t h) { return packed(3 * w, h); }},
    {"bgr", CLIP_FORMAT_BGR, [](std::size_t w, std::size_t h) { return packed(3 * w, h); }},
    {"gray8", CLIP_FORMAT_GRAY8, [](std::size_t w, std::size_t h) { return packed(w, h); }},
};

class raw final : public source {
public:
    raw(const std::string &description, std::string file) : file_(std::move(file)) {
        const std::size_t colon = description.find(':');
        const std::string name = description.substr(0, colon);
        int read = 0;
        const char *const size = colon == std::string::npos ? "" : description.c_str() + colon + 1;
        if (std::sscanf(size, "%zux%zu%n", &width_, &height_, &read) != 2 || size[read] != 0 || width_ == 0 || height_ == 0 || width_ > 65536 || height_ > 65536)
            throw source_error("\"" + description + "\" is no format and size, as nv12:1920x1080");
        for (const layout &layout : LAYOUTS)
            if (name == layout.name) layout_ = &layout;
        if (layout_ == nullptr) throw source_error("\"" + name + "\" is none of nv12, i420, yuyv, uyvy, rgb, bgr and gray8");
        planes_ = layout_->planes(width_, height_);
        std::size_t bytes = 0;
        for (const auto &[row, rows] : planes_) bytes += row * rows;
        buffer_.resize(bytes);
        in_ = file_ == "-" ? stdin : std::fopen(file_.c_str(), "rb");
        if (in_ == nullptr) throw source_error(file_ + ": cannot open it: " + std::strerror(errno));
    }

    ~raw() override {
        if (in_ != stdin) std::fclose(in_);
    }

    bool next(const std::function<bool()> &is_over, const std::function<void(const clip::frame &, clock_type::time_point)> &take) override {
        if (is_over()) return false;
        const std::size_t found = std::fread(buffer_.data(), 1, buffer_.size(), in_);
        if (is_over() || (found == 0 && std::ferror(in_) == 0)) return false;
        if (found < buffer_.size())
            throw source_error(file_ + ": it ends within a frame: " + std::to_string(found) + " of " + std::to_string(buffer_.size()) + " bytes");
        clip::frame frame(layout_->format, width_, height_);
        const std::uint8_t *at = buffer_.data();
        for (std::size_t plane = 0; plane < planes_.size(); plane++) {
            frame.planes[plane] = at;
            frame.strides[plane] = planes_[plane].first;
            at += planes_[plane].first * planes_[plane].second;
        }
        take(frame, clock_type::now());
        return true;
    }

    std::string describe() const override { return file_ + ", " + std::to_string(width_) + "x" + std::to_string(height_) + " " + layout_->name; }

    bool is_live() const override { return false; }

private:
    std::string file_;
    const layout *layout_ = nullptr;
    std::size_t width_ = 0, height_ = 0;
    std::vector<std::pair<std::size_t, std::size_t>> planes_;
    std::vector<std::uint8_t> buffer_;
    std::FILE *in_ = nullptr;
};

} // namespace

std::unique_ptr<source> open_raw(const std::string &description, const std::string &file) { return std::make_unique<raw>(description, file); }
