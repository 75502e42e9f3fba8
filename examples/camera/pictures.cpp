// Pictures in files, that stand in for a camera.
#include <thread>
#include <vector>

#include "source.hpp"

namespace {

class pictures final : public source {
public:
    pictures(const std::vector<std::string> &files, double rate, const clip::model &model) : rate_(rate) {
        for (const std::string &file : files) images_.push_back(clip::image::open(model, file));
    }

    bool next(const std::function<bool()> &is_over, const std::function<void(const clip::frame &, clock_type::time_point)> &take) override {
        const auto due = began_ + std::chrono::duration_cast<clock_type::duration>(std::chrono::duration<double>(static_cast<double>(shown_) / rate_));
        while (!is_over() && clock_type::now() < due) std::this_thread::sleep_for(std::min<clock_type::duration>(due - clock_type::now(), std::chrono::milliseconds(50)));
        if (is_over()) return false;
        take(images_[shown_++ % images_.size()].frame(), clock_type::now());
        return true;
    }

    std::string describe() const override { return std::to_string(images_.size()) + " pictures in turn"; }

    bool is_live() const override { return true; }

private:
    double rate_;
    std::vector<clip::image> images_;
    clock_type::time_point began_ = clock_type::now();
    std::size_t shown_ = 0;
};

} // namespace

std::unique_ptr<source> open_pictures(const std::vector<std::string> &files, double rate, const clip::model &model) {
    return std::make_unique<pictures>(files, rate, model);
}
