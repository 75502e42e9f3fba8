// A clock, and a source that keeps to it, as a camera would.
#include <cerrno>
#include <ctime>

#include "source.hpp"

std::uint64_t now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return std::uint64_t(time.tv_sec) * 1000000000 + std::uint64_t(time.tv_nsec);
}

namespace {

class paced_source : public source {
public:
    paced_source(std::unique_ptr<source> inner, double rate) : inner_(std::move(inner)), step_(std::uint64_t(1e9 / rate)), due_(now()) {}

    std::optional<captured> next() override {
        std::optional<captured> found = inner_->next();
        const timespec due{time_t(due_ / 1000000000), long(due_ % 1000000000)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR)
            if (stopped) return std::nullopt;
        due_ += step_;
        if (found) found->time = now();
        return found;
    }

private:
    std::unique_ptr<source> inner_;
    std::uint64_t step_, due_;
};

} // namespace

std::unique_ptr<source> paced(std::unique_ptr<source> inner, double rate) {
    return std::make_unique<paced_source>(std::move(inner), rate);
}
