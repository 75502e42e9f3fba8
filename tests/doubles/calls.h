// Every call to a double is one line of JSON in the file that an environment variable names, so that a test can compare what
// arrived with what was meant.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace calls {

// The variable, which each library defines for itself.
extern char const *const variable;

inline int file() {
    static int const opened = [] {
        char const *path = std::getenv(variable);
        return path && *path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    }();
    return opened;
}

inline std::string json(char const *text) {
    if (!text) return "null";
    std::string quoted = "\"";
    for (; *text; ++text) {
        unsigned char const byte = *text;
        if (byte == '"' || byte == '\\') {
            quoted += {'\\', *text};
        } else if (byte < 0x20) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", byte);
            quoted += escape;
        } else {
            quoted += *text;
        }
    }
    return quoted + "\"";
}
inline std::string json(std::string const &text) { return json(text.c_str()); }
inline std::string json(bool value) { return value ? "true" : "false"; }
inline std::string json(float value) { return std::to_string(value); }
inline std::string json(int32_t value) { return std::to_string(value); }
inline std::string json(uint32_t value) { return std::to_string(value); }
inline std::string json(long value) { return std::to_string(value); }
inline std::string json(unsigned long value) { return std::to_string(value); }
inline std::string json(long long value) { return std::to_string(value); }
inline std::string json(unsigned long long value) { return std::to_string(value); }
// An address, as a number: to be compared with others, not to be read.
inline std::string json(void const *pointer) { return std::to_string(reinterpret_cast<uintptr_t>(pointer)); }

template <class Number>
std::string json(Number const *values, int32_t count) {
    std::string list = "[";
    for (int32_t i = 0; i < count; ++i) list += (i ? "," : "") + json(values[i]);
    return list + "]";
}

// A call under way; its line is written when it ends, whichever way.
class Call {
public:
    Call(char const *type, char const *method, void const *object = nullptr)
        : line_("{\"class\":" + json(type) + ",\"method\":" + json(method) + ",\"object\":" + json(object) + ",\"arguments\":{") {}

    ~Call() {
        int const to = file();
        if (to < 0) return;
        line_ += "},\"result\":" + result_ + "}\n";
        // One write, so that the lines of threads and processes stay whole.
        if (write(to, line_.data(), line_.size()) < 0) {
        }
    }

    template <class... Value>
    Call &argument(char const *name, Value... value) {
        line_ += (any_ ? "," : "") + json(name) + ":" + json(value...);
        any_ = true;
        return *this;
    }

    template <class Value>
    Value result(Value value) {
        result_ = json(value);
        return value;
    }

private:
    std::string line_;
    std::string result_ = "null";
    bool any_ = false;
};

} // namespace calls
