// As much of an ONNX file as TensorRT's double needs: what goes in and comes out, the operations' names, and other files with weights.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace onnx {

// The fields of a protobuf message, one after the other.
class Message {
public:
    Message(uint8_t const *bytes, size_t size) : at_(bytes), end_(bytes + size) {}

    // Steps to the next field; false at the end and where the bytes make no sense.
    bool next() {
        if (at_ == end_ || broken_) return false;
        uint64_t const key = varint();
        number = static_cast<uint32_t>(key >> 3);
        switch (key & 7) {
        case 0: value = varint(); break;
        case 1: skip(8); break;
        case 2: {
            size_ = varint();
            bytes_ = at_;
            skip(size_);
            break;
        }
        case 5: skip(4); break;
        default: broken_ = true;
        }
        isBytes_ = (key & 7) == 2;
        broken_ |= number == 0;
        return !broken_;
    }

    bool isBroken() const { return broken_; }
    Message message() const { return isBytes_ ? Message(bytes_, size_) : Message(nullptr, 0); }
    std::string text() const { return isBytes_ ? std::string(reinterpret_cast<char const *>(bytes_), size_) : std::string(); }

    uint32_t number = 0;
    uint64_t value = 0;

private:
    uint64_t varint() {
        uint64_t result = 0;
        for (unsigned shift = 0; shift < 64 && at_ != end_; shift += 7) {
            result |= static_cast<uint64_t>(*at_ & 0x7F) << shift;
            if (!(*at_++ & 0x80)) return result;
        }
        broken_ = true;
        return 0;
    }

    void skip(uint64_t size) {
        if (size > static_cast<uint64_t>(end_ - at_)) {
            broken_ = true;
            size = static_cast<uint64_t>(end_ - at_);
        }
        at_ += size;
    }

    uint8_t const *at_;
    uint8_t const *end_;
    uint8_t const *bytes_ = nullptr;
    uint64_t size_ = 0;
    bool isBytes_ = false;
    bool broken_ = false;
};

struct Value {
    std::string name;
    // TensorProto.DataType.
    int32_t type = 0;
    // -1 where a name stands instead of a size.
    std::vector<int64_t> dims;
    std::vector<std::string> symbols;
};

struct Node {
    std::string operation;
    std::string name;
};

struct Model {
    std::vector<Value> inputs;
    std::vector<Value> outputs;
    std::vector<Node> nodes;
    std::set<std::string> files;
    bool isBroken = false;

    Model(void const *bytes, size_t size) {
        Message model(static_cast<uint8_t const *>(bytes), size);
        bool any = false;
        while (model.next()) {
            if (model.number == 7) {
                graph(model.message());
                any = true;
            }
        }
        isBroken |= model.isBroken() || !any;
    }

private:
    void graph(Message graph) {
        std::set<std::string> weights;
        while (graph.next()) {
            switch (graph.number) {
            case 1: nodes.push_back(node(graph.message())); break;
            case 5: weights.insert(tensor(graph.message())); break;
            case 11: inputs.push_back(value(graph.message())); break;
            case 12: outputs.push_back(value(graph.message())); break;
            default: break;
            }
        }
        isBroken |= graph.isBroken();
        // Old files name their weights among the inputs, too.
        std::vector<Value> taken;
        for (auto &input : inputs) {
            if (!weights.count(input.name)) taken.push_back(std::move(input));
        }
        inputs = std::move(taken);
    }

    Node node(Message message) {
        Node node;
        while (message.next()) {
            if (message.number == 3) node.name = message.text();
            if (message.number == 4) node.operation = message.text();
        }
        isBroken |= message.isBroken();
        return node;
    }

    // Its name; the file that its bytes lie in is noted.
    std::string tensor(Message message) {
        std::string name;
        while (message.next()) {
            if (message.number == 8) name = message.text();
            if (message.number != 13) continue;
            std::string key, text;
            for (Message entry = message.message(); entry.next();) {
                if (entry.number == 1) key = entry.text();
                if (entry.number == 2) text = entry.text();
            }
            if (key == "location") files.insert(text);
        }
        isBroken |= message.isBroken();
        return name;
    }

    Value value(Message message) {
        Value value;
        while (message.next()) {
            if (message.number == 1) value.name = message.text();
            if (message.number != 2) continue;
            for (Message type = message.message(); type.next();) {
                if (type.number == 1) tensorType(type.message(), value);
            }
        }
        isBroken |= message.isBroken();
        return value;
    }

    void tensorType(Message message, Value &value) {
        while (message.next()) {
            if (message.number == 1) value.type = static_cast<int32_t>(message.value);
            if (message.number != 2) continue;
            for (Message shape = message.message(); shape.next();) {
                if (shape.number != 1) continue;
                int64_t size = -1;
                std::string symbol;
                for (Message dim = shape.message(); dim.next();) {
                    if (dim.number == 1) size = static_cast<int64_t>(dim.value);
                    if (dim.number == 2) symbol = dim.text();
                }
                value.dims.push_back(size);
                value.symbols.push_back(symbol);
            }
        }
    }
};

} // namespace onnx
