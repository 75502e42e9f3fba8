// Frames without padding, one behind the other, as `ffmpeg -f rawvideo` and `v4l2-ctl --stream-to` write them.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <stdexcept>
#include <vector>

#include "source.hpp"

namespace {

struct layout {
    std::int32_t format;
    std::size_t width, height;
};

layout read_layout(const std::string &text) {
    static const std::map<std::string, std::int32_t> formats{
        {"rgb", CLIP_FORMAT_RGB},     {"bgr", CLIP_FORMAT_BGR},   {"rgba", CLIP_FORMAT_RGBA}, {"bgra", CLIP_FORMAT_BGRA},
        {"gray8", CLIP_FORMAT_GRAY8}, {"nv12", CLIP_FORMAT_NV12}, {"nv21", CLIP_FORMAT_NV21}, {"i420", CLIP_FORMAT_I420},
        {"yuyv", CLIP_FORMAT_YUYV},   {"uyvy", CLIP_FORMAT_UYVY}};
    char name[8] = "", rest = 0;
    unsigned width = 0, height = 0;
    const bool is_read = std::sscanf(text.c_str(), "%7[a-z0-9]:%ux%u%c", name, &width, &height, &rest) == 3;
    const auto format = formats.find(name);
    if (!is_read || format == formats.end() || width == 0 || height == 0 || width > 32768 || height > 32768)
        throw std::invalid_argument("--raw " + text + ": write FORMAT:WIDTHxHEIGHT with rgb, bgr, rgba, bgra, gray8, nv12, nv21, i420, yuyv "
                                                   "or uyvy, such as nv12:1920x1080");
    return {format->second, width, height};
}

/// Bytes of each plane.
std::vector<std::size_t> planes(const layout &of) {
    const std::size_t half_width = (of.width + 1) / 2, half_height = (of.height + 1) / 2;
    switch (of.format) {
    case CLIP_FORMAT_RGB:
    case CLIP_FORMAT_BGR: return {3 * of.width * of.height};
    case CLIP_FORMAT_RGBA:
    case CLIP_FORMAT_BGRA: return {4 * of.width * of.height};
    case CLIP_FORMAT_GRAY8: return {of.width * of.height};
    case CLIP_FORMAT_I420: return {of.width * of.height, half_width * half_height, half_width * half_height};
    case CLIP_FORMAT_YUYV:
    case CLIP_FORMAT_UYVY: return {4 * half_width * of.height};
    default: return {of.width * of.height, 2 * half_width * half_height};
    }
}

class raw_source : public source {
public:
    raw_source(const layout &layout, const std::string &path)
        : path_(path), layout_(layout), planes_(planes(layout)), file_(path == "-" ? stdin : std::fopen(path.c_str(), "rb")) {
        // A signal that ends the program may come while a FIFO waits for whoever writes.
        if (file_ == nullptr && !stopped) throw std::runtime_error(path + " cannot be read: " + std::strerror(errno));
        std::size_t size = 0;
        for (const std::size_t plane : planes_)
            size += plane;
        bytes_.resize(size);
    }
    raw_source(const raw_source &) = delete;
    raw_source &operator=(const raw_source &) = delete;
    ~raw_source() override {
        if (file_ != nullptr && file_ != stdin) std::fclose(file_);
    }

    std::optional<captured> next() override {
        std::size_t size = 0;
        while (!stopped && size < bytes_.size()) {
            errno = 0;
            const std::size_t got = std::fread(bytes_.data() + size, 1, bytes_.size() - size, file_);
            size += got;
            if (stopped || (got == 0 && std::feof(file_))) break;
            if (std::ferror(file_) && errno != EINTR) throw std::runtime_error(path_ + " cannot be read: " + std::strerror(errno));
            if (std::ferror(file_)) std::clearerr(file_);
        }
        if (stopped || size == 0) return std::nullopt;
        if (size < bytes_.size())
            throw std::runtime_error(path_ + " ends within a frame, " + std::to_string(size) + " of " + std::to_string(bytes_.size())
                                     + " bytes into it: --raw may name another size or format than the file has");
        captured found{clip::frame(layout_.format, layout_.width, layout_.height), now()};
        std::size_t at = 0;
        for (std::size_t i = 0; i < planes_.size(); at += planes_[i++])
            found.frame.planes[i] = bytes_.data() + at;
        return found;
    }

private:
    std::string path_;
    layout layout_;
    std::vector<std::size_t> planes_;
    std::FILE *file_;
    std::vector<std::uint8_t> bytes_;
};

} // namespace

std::unique_ptr<source> open_raw(const std::string &layout, const std::string &path) {
    return std::make_unique<raw_source>(read_layout(layout), path);
}
