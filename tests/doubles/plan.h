// Engines as TensorRT's double writes them to files: what the builder was told, and the ONNX file itself.
#pragma once

#include <array>
#include <map>
#include <stdexcept>

#include "tensorrt.h"

namespace doubles {

// The sizes of one input: the smallest, the usual, the largest.
using Range = std::array<std::vector<int64_t>, 3>;
using Ranges = std::map<std::string, Range>;

struct Port {
    std::string name;
    int32_t type = 0;
    bool isInput = false;
    std::vector<int64_t> dims;
    std::vector<std::string> symbols;
};

struct Plan {
    std::string family = isRtx ? "rtx" : std::to_string(NV_TENSORRT_MAJOR);
    int32_t version = doubles::version();
    // The GPUs it runs on. TensorRT's own are for one, those of TensorRT for RTX for several, or for all when none is named.
    std::vector<int32_t> computes;
    // On newer GPUs than the one it was built on, too.
    bool isHardwareCompatible = false;
    bool isVersionCompatible = false;
    bool streamsWeights = false;
    uint32_t flags = 0;
    int32_t layers = 0;
    std::vector<Port> ports;
    std::vector<Ranges> profiles;
    std::string onnx;
    std::map<std::string, std::string> files;

    uint64_t weightBytes() const {
        uint64_t bytes = onnx.size();
        for (auto const &[name, file] : files) bytes += file.size();
        return bytes;
    }

    Port const *port(char const *name) const {
        for (auto const &port : ports) {
            if (name && port.name == name) return &port;
        }
        return nullptr;
    }
};

// Writes fields or reads them, by the same list of fields.
class Writer {
public:
    std::string bytes;
    template <class Number>
    std::enable_if_t<std::is_arithmetic_v<Number>> field(Number const &number) {
        bytes.append(reinterpret_cast<char const *>(&number), sizeof number);
    }
    void field(std::string const &text) {
        field(static_cast<uint64_t>(text.size()));
        bytes += text;
    }
    template <class Value>
    void field(std::vector<Value> const &list) {
        field(static_cast<uint64_t>(list.size()));
        for (auto const &value : list) field(value);
    }
    template <class Value>
    void field(std::map<std::string, Value> const &map) {
        field(static_cast<uint64_t>(map.size()));
        for (auto const &[name, value] : map) {
            field(name);
            field(value);
        }
    }
    void field(Range const &range) {
        for (auto const &sizes : range) field(sizes);
    }
    void field(Port const &port) { ports(*this, port); }

    template <class Archive, class Port>
    static void ports(Archive &archive, Port &port) {
        archive.field(port.name);
        archive.field(port.type);
        archive.field(port.isInput);
        archive.field(port.dims);
        archive.field(port.symbols);
    }
};

class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    template <class Number>
    std::enable_if_t<std::is_arithmetic_v<Number>> field(Number &number) {
        std::string_view const raw = take(sizeof number);
        std::copy(raw.begin(), raw.end(), reinterpret_cast<char *>(&number));
    }
    void field(std::string &text) { text = take(length()); }
    template <class Value>
    void field(std::vector<Value> &list) {
        for (uint64_t left = length(); left > 0; --left) {
            list.emplace_back();
            field(list.back());
        }
    }
    template <class Value>
    void field(std::map<std::string, Value> &map) {
        for (uint64_t left = length(); left > 0; --left) {
            std::string name;
            field(name);
            field(map[name]);
        }
    }
    void field(Range &range) {
        for (auto &sizes : range) field(sizes);
    }
    void field(Port &port) { Writer::ports(*this, port); }

private:
    uint64_t length() {
        uint64_t value = 0;
        field(value);
        return value;
    }
    std::string_view take(uint64_t size) {
        if (size > bytes_.size()) throw std::runtime_error("the plan ends too early");
        std::string_view const part = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return part;
    }
    std::string_view bytes_;
};

template <class Archive, class Plan>
void fields(Archive &archive, Plan &plan) {
    archive.field(plan.family);
    archive.field(plan.version);
    archive.field(plan.computes);
    archive.field(plan.isHardwareCompatible);
    archive.field(plan.isVersionCompatible);
    archive.field(plan.streamsWeights);
    archive.field(plan.flags);
    archive.field(plan.layers);
    archive.field(plan.ports);
    archive.field(plan.profiles);
    archive.field(plan.onnx);
    archive.field(plan.files);
}

constexpr char planMagic[9] = "TRTDOUBL";

inline uint64_t checksum(std::string_view bytes) {
    uint64_t sum = 0xcbf29ce484222325;
    for (unsigned char const byte : bytes) sum = (sum ^ byte) * 0x100000001b3;
    return sum;
}

inline std::string write(Plan const &plan) {
    Writer body;
    fields(body, plan);
    Writer whole;
    whole.bytes = planMagic;
    whole.field(checksum(body.bytes));
    whole.field(body.bytes);
    return std::move(whole.bytes);
}

// Throws the sentence that says what is wrong with the bytes.
inline Plan readPlan(std::string_view bytes) {
    if (bytes.substr(0, 8) != planMagic) {
        throw std::runtime_error("Serialization assertion magicTagRead == kMAGIC_TAG failed. Trying to load an engine "
                                 "created with incompatible serialization version");
    }
    Reader whole(bytes.substr(8));
    uint64_t sum = 0;
    std::string body;
    whole.field(sum);
    whole.field(body);
    if (checksum(body) != sum) throw std::runtime_error("the plan's checksum does not match its bytes");
    Plan plan;
    Reader reader(body);
    fields(reader, plan);
    return plan;
}

} // namespace doubles
