// Classifies pictures with a model folder and labels, and says which show none of them:
//
//     classify MODEL_FOLDER LABELS_FILE.safetensors|- PICTURE...
//
// `clip-run labels` or `calibrate` writes the labels; - stands for those that are stored in the folder.
//
//     c++ -std=c++17 -Iinclude examples/cpp/classify.cpp -o classify -Ltarget/release -lclip -Wl,-rpath,$PWD/target/release
#include <cstdio>
#include <cstring>

#include "clip.hpp"

int main(int argc, char **argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: %s MODEL_FOLDER LABELS_FILE|- PICTURE...\n", argv[0]);
        return 2;
    }
    try {
        const clip::model model = clip::model::open(argv[1]);
        const bool stored = std::strcmp(argv[2], "-") == 0;
        const clip::labels labels = stored ? clip::labels::stored(model) : clip::labels::load(model, argv[2]);
        for (int i = 3; i < argc; i++) {
            const clip::image image = clip::image::open(model, argv[i]);
            const std::vector<clip::match> matches = model.classify(image, labels, 3);
            const std::optional<std::size_t> shown = labels.decide(matches);
            std::printf("%s: %s\n", argv[i], shown ? labels.name(*shown) : "none of the labels");
            for (const clip::match &found : matches)
                std::printf("  %5.1f %%  %s\n", 100.0 * double(found.probability), labels.name(found.index));
        }
    } catch (const clip::error &error) {
        std::fprintf(stderr, "%s (%s)\n", error.what(), error.name());
        return 1;
    }
    return 0;
}
