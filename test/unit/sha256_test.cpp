// SPDX-License-Identifier: MIT
// SHA-256 against the vectors of FIPS 180-4's examples, and Merkle trees against the definition of
// RFC 9162.
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "core/fmt.h"
#include "core/sha256.h"
#include "test/unit/catch.h"

using namespace axiom;

namespace {

std::string hex(const Sha256Digest& digest) {
    std::string text;
    for (const uint8_t byte : digest) text += Text<4>(HexDigits{byte, 2}).view();
    return text;
}

std::string sha256(std::string_view text) {
    return hex(Sha256::of(text.data(), text.size()));
}

std::string counted_bytes(size_t n) {
    std::string bytes;
    for (size_t i = 0; i < n; i++) bytes += char(i * 7 + i / 256);
    return bytes;
}

// MTH(D[n]) as RFC 9162, section 2.1.1, defines it: over the leaves' hashes, split at the largest
// power of two below n.
Sha256Digest root_by_definition(std::span<const Sha256Digest> leaves) {
    if (leaves.size() == 1) return leaves[0];
    size_t k = 1;
    while (2 * k < leaves.size()) k *= 2;
    const Sha256Digest left = root_by_definition(leaves.first(k));
    const Sha256Digest right = root_by_definition(leaves.subspan(k));
    std::string node = "\1";
    node.append(left.begin(), left.end()).append(right.begin(), right.end());
    return Sha256::of(node.data(), node.size());
}

Sha256Digest leaf_of(std::string_view data) {
    const std::string leaf = std::string(1, '\0') + std::string(data);
    return Sha256::of(leaf.data(), leaf.size());
}

}  // namespace

TEST_CASE("SHA-256 gives the digests that NIST publishes") {
    CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(
        sha256("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklm"
               "nopqrlmnopqrsmnopqrstnopqrstu") ==
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    CHECK(sha256(std::string(1000000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    CHECK(sha256(std::string(1, '\xbd')) ==
          "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b");
}

TEST_CASE("SHA-256 of every length around a block's end is that of its parts, wherever they meet") {
    for (size_t n = 0; n <= 200; n++) {
        const std::string data = counted_bytes(n);
        const Sha256Digest whole = Sha256::of(data.data(), n);
        for (size_t split = 0; split <= n; split++) {
            Sha256 hash;
            hash.update(data.data(), split);
            hash.update(data.data() + split, n - split);
            if (hash.digest() != whole) {
                CAPTURE(n, split);
                CHECK(hash.digest() == whole);
            }
        }
        Sha256 bytewise;
        for (const char byte : data) bytewise.update(&byte, 1);
        CHECK(bytewise.digest() == whole);
    }
    // Lengths where the padding takes a block more.
    CHECK(sha256(std::string(55, 'a')) ==
          "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    CHECK(sha256(std::string(56, 'a')) ==
          "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    CHECK(sha256(std::string(63, 'a')) ==
          "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
    CHECK(sha256(std::string(64, 'a')) ==
          "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

TEST_CASE("a digest may be asked for in between, and reset begins anew") {
    Sha256 hash;
    CHECK(hash.digest() == Sha256::of("", 0));
    hash.update("ab", 2);
    CHECK(hash.digest() == Sha256::of("ab", 2));
    hash.update("c", 1);
    CHECK(hash.digest() == Sha256::of("abc", 3));
    hash.update(std::string(100, 'x').data(), 100);
    hash.reset();
    hash.update("abc", 3);
    CHECK(hash.digest() == Sha256::of("abc", 3));
}

TEST_CASE("SHA-256 counts the bits of 512 MiB", "[slow]") {
    // 2^29 bytes are 2^32 bits: the upper word of the length is 1.
    Sha256 hash;
    const std::vector<uint8_t> zeros(1 << 20);
    for (int i = 0; i < 512; i++) hash.update(zeros.data(), zeros.size());
    CHECK(hex(hash.digest()) == "9acca8e8c22201155389f65abbf6bc9723edc7384ead80503839f49dcc56d767");
}

TEST_CASE("a Merkle leaf is hashed behind a zero, in any parts, and a node behind a one") {
    const std::string data = counted_bytes(150);
    for (size_t split = 0; split <= data.size(); split++) {
        MerkleLeaf leaf;
        leaf.update(data.data(), split);
        leaf.update(data.data() + split, data.size() - split);
        CHECK(leaf.digest() == leaf_of(data));
        leaf.reset();
        CHECK(leaf.digest() == leaf_of(""));
    }
    // The hash of an empty leaf, as Certificate Transparency's test data have it.
    CHECK(hex(MerkleLeaf().digest()) ==
          "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    const Sha256Digest a = leaf_of("a"), b = leaf_of("b");
    const Sha256Digest pair[] = {a, b};
    CHECK(merkle_node(a, b) == root_by_definition(pair));
    CHECK(merkle_node(a, b) != merkle_node(b, a));
}

TEST_CASE("a Merkle tree is RFC 9162's, for any number of leaves and after every one") {
    std::vector<Sha256Digest> leaves;
    MerkleTree tree;
    CHECK_THROWS(tree.root());
    for (size_t n = 1; n <= 40; n++) {
        leaves.push_back(leaf_of(counted_bytes(n)));
        tree.add(leaves.back());
        CAPTURE(n);
        CHECK(tree.root() == root_by_definition(leaves));
    }
    // Certificate Transparency's reference tree of eight entries.
    const std::string entries[] = {"",         std::string(1, '\0'), "\x10", " !", "01", "@ABC",
                                   "PQRSTUVW", "`abcdefghijklmno"};
    MerkleTree reference;
    for (const std::string& entry : entries) reference.add(leaf_of(entry));
    CHECK(hex(reference.root()) ==
          "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}
