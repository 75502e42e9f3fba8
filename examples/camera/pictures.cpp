// Pictures that stand in for a camera: a folder of files, or JPEGs one behind the other.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "source.hpp"

namespace {

class folder_source : public source {
public:
    folder_source(const clip::model &model, std::vector<std::string> paths) : model_(model), paths_(std::move(paths)) {}

    std::optional<captured> next() override {
        if (stopped || at_ == paths_.size()) return std::nullopt;
        const std::string &path = paths_[at_++];
        try {
            image_ = clip::image::open(model_, path);
        } catch (const clip::error &error) {
            throw std::runtime_error(path + ": " + error.what());
        }
        return captured{image_->frame(), now()};
    }

private:
    const clip::model &model_;
    std::vector<std::string> paths_;
    std::size_t at_ = 0;
    std::optional<clip::image> image_;
};

class mjpeg_source : public source {
public:
    mjpeg_source(const clip::model &model, const std::string &path) : model_(model), path_(path) {
        std::ifstream file(path, std::ios::binary);
        if (!file) throw std::runtime_error(path + " cannot be read");
        bytes_.assign(std::istreambuf_iterator<char>(file), {});
    }

    std::optional<captured> next() override {
        if (stopped || at_ >= bytes_.size()) return std::nullopt;
        const std::size_t end = end_of_jpeg();
        image_ = clip::image::decode(model_, {bytes_.data() + at_, end - at_});
        at_ = end;
        return captured{image_->frame(), now()};
    }

private:
    unsigned byte(std::size_t at) const {
        if (at >= bytes_.size()) throw std::runtime_error(path_ + " ends within a JPEG");
        return bytes_[at];
    }

    /// Follows the segments, since a thumbnail within one has an end of its own.
    std::size_t end_of_jpeg() const {
        if (byte(at_) != 0xff || byte(at_ + 1) != 0xd8)
            throw std::runtime_error(path_ + " has no JPEG at byte " + std::to_string(at_));
        for (std::size_t at = at_ + 2;;) {
            // In compressed data, which follows a scan's segment, 0xff is followed by 0 or a restart's number.
            if (byte(at) != 0xff || byte(at + 1) == 0 || (byte(at + 1) >= 0xd0 && byte(at + 1) <= 0xd7) || byte(at + 1) == 0xff)
                at++;
            else if (byte(at + 1) == 0xd9)
                return at + 2;
            else
                at += 2 + (byte(at + 2) << 8 | byte(at + 3));
        }
    }

    const clip::model &model_;
    std::string path_;
    std::vector<std::uint8_t> bytes_;
    std::size_t at_ = 0;
    std::optional<clip::image> image_;
};

} // namespace

std::unique_ptr<source> open_pictures(const clip::model &model, const std::string &path) {
    const std::filesystem::path given(path);
    if (given.extension() == ".mjpeg" || given.extension() == ".mjpg") return std::make_unique<mjpeg_source>(model, path);
    if (!std::filesystem::is_directory(given)) return std::make_unique<folder_source>(model, std::vector<std::string>{path});
    std::vector<std::string> paths;
    for (const auto &entry : std::filesystem::directory_iterator(given)) {
        std::string extension = entry.path().extension().string();
        // Many cameras write IMG_0001.JPG.
        std::transform(extension.begin(), extension.end(), extension.begin(), [](unsigned char c) { return char(std::tolower(c)); });
        for (const char *known : {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"})
            if (extension == known) paths.push_back(entry.path().string());
    }
    if (paths.empty()) throw std::runtime_error(path + " has no pictures");
    std::sort(paths.begin(), paths.end());
    return std::make_unique<folder_source>(model, std::move(paths));
}
