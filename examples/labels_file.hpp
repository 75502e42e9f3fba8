// A text file of labels, one a line, read as clip-run reads it.
#pragma once

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

inline std::vector<std::string> read_labels_file(const std::string &path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + " cannot be read");
    std::vector<std::string> labels;
    for (std::string line; std::getline(file, line);) {
        // Some editors begin a file with a byte order mark; blanks around a label are none of it.
        if (labels.empty() && line.compare(0, 3, "\xef\xbb\xbf") == 0) line.erase(0, 3);
        const std::size_t begin = line.find_first_not_of(" \t\r"), end = line.find_last_not_of(" \t\r");
        if (begin != std::string::npos) labels.push_back(line.substr(begin, end - begin + 1));
    }
    if (labels.empty()) throw std::runtime_error(path + " has no label: write one a line");
    return labels;
}
