// Device memory of the double of CUDA's driver: host memory under addresses that the host cannot read, so that who takes a device
// pointer for a host pointer crashes here as on a GPU.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace cuda {

using Address = unsigned long long;

class Memory {
public:
    explicit Memory(uint64_t total) : total_(total) {}

    uint64_t total() const { return total_; }

    uint64_t free() {
        std::lock_guard<std::mutex> const lock(mutex_);
        return total_ - used_;
    }

    // Null where there is not enough left.
    Address allocate(uint64_t size) {
        std::lock_guard<std::mutex> const lock(mutex_);
        if (size > total_ - used_) return 0;
        void *const address = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (address == MAP_FAILED) return 0;
        Block block{size, static_cast<uint8_t *>(std::malloc(size))};
        if (!block.bytes) {
            munmap(address, size);
            return 0;
        }
        // Not a number in every floating-point type: what is read before it was written shows.
        std::memset(block.bytes, 0xFF, size);
        used_ += size;
        device_[reinterpret_cast<Address>(address)] = block;
        return reinterpret_cast<Address>(address);
    }

    bool release(Address address) {
        std::lock_guard<std::mutex> const lock(mutex_);
        auto const found = device_.find(address);
        if (found == device_.end()) return false;
        used_ -= found->second.size;
        std::free(found->second.bytes);
        munmap(reinterpret_cast<void *>(address), found->second.size);
        device_.erase(found);
        return true;
    }

    // What a context's end does.
    void releaseAll() {
        while (true) {
            Address address = 0;
            {
                std::lock_guard<std::mutex> const lock(mutex_);
                if (device_.empty()) return;
                address = device_.begin()->first;
            }
            release(address);
        }
    }

    void *allocateHost(uint64_t size) {
        void *bytes = nullptr;
        if (posix_memalign(&bytes, 4096, size)) return nullptr;
        std::memset(bytes, 0xFF, size);
        std::lock_guard<std::mutex> const lock(mutex_);
        pinned_[reinterpret_cast<Address>(bytes)] = Block{size, static_cast<uint8_t *>(bytes)};
        return bytes;
    }

    bool releaseHost(void *bytes) {
        std::lock_guard<std::mutex> const lock(mutex_);
        if (!pinned_.erase(reinterpret_cast<Address>(bytes))) return false;
        std::free(bytes);
        return true;
    }

    // The bytes of a range that lies wholly within one allocation, of the device or pinned; else null.
    uint8_t *at(Address address, uint64_t size) {
        std::lock_guard<std::mutex> const lock(mutex_);
        uint8_t *const bytes = within(device_, address, size);
        return bytes ? bytes : within(pinned_, address, size);
    }

    bool isPinned(void const *bytes, uint64_t size) {
        std::lock_guard<std::mutex> const lock(mutex_);
        return within(pinned_, reinterpret_cast<Address>(bytes), size);
    }

private:
    struct Block {
        uint64_t size;
        uint8_t *bytes;
    };
    using Blocks = std::map<Address, Block>;

    static uint8_t *within(Blocks const &blocks, Address address, uint64_t size) {
        auto next = blocks.upper_bound(address);
        if (next == blocks.begin()) return nullptr;
        auto const &[start, block] = *--next;
        uint64_t const offset = address - start;
        return offset <= block.size && size <= block.size - offset ? block.bytes + offset : nullptr;
    }

    std::mutex mutex_;
    Blocks device_;
    Blocks pinned_;
    uint64_t const total_;
    uint64_t used_ = 0;
};

} // namespace cuda
