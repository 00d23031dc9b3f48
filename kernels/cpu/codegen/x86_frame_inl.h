// What emitted code is made in: the frame, the loops, and where each value is. Included by
// emitter_x86.cpp alone, inside its namespace, after the assembler.

std::vector<int> numbers(int first, int end) {
  std::vector<int> out;
  for (int i = first; i < end; ++i) out.push_back(i);
  return out;
}

/// An operand in a register or in memory.
struct Source {
  bool in_register;
  bool is_broadcast;  ///< one lane for all
  Xmm reg;
  Address memory;

  const Operand& operand() const {
    return in_register ? static_cast<const Operand&>(reg) : static_cast<const Operand&>(memory);
  }
};

/// Registers: rdi arguments, r11 constants, r10 position, r9 for a moment; k1 the mask of the last
/// elements, k6, k7 and the last two vector registers for a moment.
class Frame : public Xbyak::CodeGenerator {
 public:
  Frame(const VectorProgram& program, const EmitOptions& options, unsigned char* buffer,
        size_t bytes)
      : CodeGenerator(bytes, buffer),
        program_(program),
        is_avx512_(options.machine.is_avx512),
        streams_(options.streams),
        lanes_(options.machine.lanes()),
        register_count_(is_avx512_ ? 30 : 14),
        nodes_(static_cast<int>(program.nodes().size())),
        slots_(program.nodes().size() * kMostCopies, -1),
        invariant_slots_(program.nodes().size(), -1),
        pinned_(program.nodes().size(), -1) {
    if (options.vector_registers) register_count_ = options.vector_registers;
    if (is_avx512_) {
      for (int i = 0; i < 16; ++i) append_to_pool(static_cast<uint16_t>((1u << i) - 1));
    }
  }

  void run() {
    const size_t frame_at = begin();
    emit_items(schedule_invariants(program_), true, false);
    const int copies = choose_copies();
    pin(copies);
    xor_(r10d, r10d);
    if (copies > 1) loop(copies);
    loop(1);
    if (is_avx512_) tail();
    vzeroupper();
    end(frame_at);
  }

 protected:
  static constexpr int kMostCopies = 2;

  struct Step {
    const VectorNode& node;
    int copy;
    int value;
  };

  // Frame and loops

  /// @return where the size of the frame is written once it is known.
  size_t begin() {
    for (const Xbyak::Reg64& reg : {rbp, rbx, r12, r13, r14, r15}) push(reg);
    mov(rbp, rsp);
    sub(rsp, 0x7FFFFF);
    const size_t frame_at = getSize() - 4;
    and_(rsp, -64);
    lea(r11, ptr[rip + pool_label_]);
    for (int i = 0; i < std::min(array_count(), static_cast<int>(pointer_registers().size())); ++i)
      mov(pointer_registers()[static_cast<size_t>(i)], ptr[rdi + 8 * (i + 1)]);
    return frame_at;
  }

  void end(size_t frame_at) {
    mov(rsp, rbp);
    for (const Xbyak::Reg64& reg : {r15, r14, r13, r12, rbx, rbp}) pop(reg);
    ret();
    rewrite(frame_at, static_cast<uint64_t>(64 * used_slots_), 4);
    align(64);
    L(pool_label_);
    for (const unsigned char byte : pool_) db(byte);
  }

  /// Copies that are worked on in turns hide the time of each other's instructions; where memory is
  /// all there is to wait for, streams that jump to and fro cost more than that gains.
  bool interleaves() const {
    return std::count_if(program_.nodes().begin(), program_.nodes().end(),
                         [](const VectorNode& node) { return !node.is_invariant; }) >=
           4 * array_count();
  }
  int pressure(int copies) const {
    return most_live(program_, schedule_body(program_, copies, interleaves()), is_avx512_);
  }
  int choose_copies() const {
    return pressure(kMostCopies) <= register_count_ - 2 ? kMostCopies : 1;
  }

  /// What is read most often gets the registers that the body leaves over.
  void pin(int copies) {
    const std::vector<int> uses = invariant_uses(program_);
    std::vector<int> order;
    for (int i = 0; i < nodes_; ++i) {
      if (uses[static_cast<size_t>(i)] > 0 && !(is_avx512_ && program_.node(i).is_mask))
        order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return uses[static_cast<size_t>(a)] > uses[static_cast<size_t>(b)];
    });
    const int left = std::max(0, register_count_ - pressure(copies) - 1);
    if (order.size() > static_cast<size_t>(left)) order.resize(static_cast<size_t>(left));
    for (const int node : order) {
      const Xmm reg = vector(register_count_ - 1);
      load_into(reg, invariant(node), program_.node(node).wide);
      pinned_[static_cast<size_t>(node)] = --register_count_;
    }
  }

  void loop(int copies) {
    const int step = copies * lanes_;
    Xbyak::Label next, done;
    mov(r9, ptr[rdi]);
    sub(r9, step);
    mov(ptr[rsp], r9);
    cmp(r10, r9);
    jg(done, T_NEAR);
    L(next);
    emit_items(schedule_body(program_, copies, interleaves()), false, false);
    add(r10, step);
    cmp(r10, ptr[rsp]);
    jle(next, T_NEAR);
    L(done);
  }

  void tail() {
    Xbyak::Label done;
    mov(r9, ptr[rdi]);
    sub(r9, r10);
    jle(done, T_NEAR);
    kmovw(k1, ptr[r11 + r9 * 2]);
    emit_items(schedule_body(program_, 1, true), false, true);
    L(done);
  }

  // Values

  int array_count() const {
    return static_cast<int>(program_.inputs().size() + program_.outputs().size());
  }
  std::vector<Xbyak::Reg64> pointer_registers() const {
    return {rax, rcx, rdx, rsi, r8, rbx, r12, r13, r14, r15};
  }
  Xmm vector(int i) const {
    if (is_avx512_) return Zmm(i);
    return Ymm(i);
  }
  Xmm scratch(int i) const { return vector((is_avx512_ ? 30 : 14) + i); }

  Address element(int array, int copy, int size) {
    const auto registers = pointer_registers();
    Xbyak::Reg64 base = r9;
    if (array < static_cast<int>(registers.size())) {
      base = registers[static_cast<size_t>(array)];
    } else {
      mov(r9, ptr[rdi + 8 * (array + 1)]);
    }
    return ptr[base + r10 * size + copy * lanes_ * size];
  }
  Address only_element(int array) {
    const auto registers = pointer_registers();
    if (array < static_cast<int>(registers.size()))
      return ptr[registers[static_cast<size_t>(array)]];
    mov(r9, ptr[rdi + 8 * (array + 1)]);
    return ptr[r9];
  }

  Address slot(int& number) {
    if (number < 0) number = used_slots_++;
    return ptr[rsp + 64 * number];
  }

  template <class T>
  int append_to_pool(T value) {
    const int at = static_cast<int>(pool_.size());
    const auto* bytes = reinterpret_cast<const unsigned char*>(&value);
    pool_.insert(pool_.end(), bytes, bytes + sizeof value);
    return at;
  }
  /// AVX-512 spreads a word while reading it; AVX2 reads whole vectors.
  Source constant(uint64_t bits, bool wide) {
    const auto [at, is_new] = in_pool_.try_emplace({bits, wide}, 0);
    if (is_new) {
      const size_t size = is_avx512_ ? (wide ? 8 : 4) : 32;
      while (pool_.size() % size != 0) pool_.push_back(0);
      at->second = static_cast<int>(pool_.size());
      for (size_t filled = 0; filled < size; filled += wide ? 8 : 4) {
        if (wide) append_to_pool(bits);
        if (!wide) append_to_pool(static_cast<uint32_t>(bits));
      }
    }
    const auto address = r11 + at->second;
    return {false, is_avx512_, Xmm(0), is_avx512_ ? ptr_b[address] : ptr[address]};
  }

  Source invariant(int node) {
    const VectorNode& n = program_.node(node);
    if (const int reg = pinned_[static_cast<size_t>(node)]; reg >= 0)
      return {true, false, vector(reg), ptr[rsp]};
    if (n.op == VectorOp::kConstant) return constant(n.bits, n.wide);
    return {false, false, Xmm(0), slot(invariant_slots_[static_cast<size_t>(node)])};
  }

  bool is_value(int node) const {
    const VectorNode& n = program_.node(node);
    return n.op != VectorOp::kConstant && (in_prologue_ || !n.is_invariant);
  }
  int value_of(int node, int copy) const { return copy * nodes_ + node; }
  RegisterFile& file_of(int node) {
    return is_avx512_ && program_.node(node).is_mask ? *masks_ : *vectors_;
  }

  Source source(int node, int copy) {
    if (!is_value(node)) return invariant(node);
    const int value = value_of(node, copy);
    if (const int reg = vectors_->of(value); reg >= 0) return {true, false, vector(reg), ptr[rsp]};
    return {false, false, Xmm(0), slot(slots_[static_cast<size_t>(value)])};
  }
  Source source(const Step& step, int k) {
    return source(step.node.src[static_cast<size_t>(k)], step.copy);
  }
  void load_into(const Xmm& to, const Source& from, bool wide) {
    if (!from.is_broadcast) return vmovups(to, from.operand());
    const Address address = ptr[from.memory.getRegExp()];
    const Ymm all = is_avx512_ ? static_cast<Ymm>(Zmm(to.getIdx())) : Ymm(to.getIdx());
    if (wide) return vbroadcastsd(all, address);
    vbroadcastss(to, address);
  }
  Xmm in_register(const Source& from, int which, bool wide) {
    if (from.in_register) return from.reg;
    load_into(scratch(which), from, wide);
    return scratch(which);
  }
  Xmm in_register(const Step& step, int k, int which) {
    const int node = step.node.src[static_cast<size_t>(k)];
    return in_register(source(node, step.copy), which, program_.node(node).wide);
  }
  Opmask mask(int node, int copy, int which) {
    if (is_value(node)) {
      const int value = value_of(node, copy);
      if (const int reg = masks_->of(value); reg >= 0) return Opmask(reg);
      kmovw(Opmask(6 + which), slot(slots_[static_cast<size_t>(value)]));
    } else {
      kmovw(Opmask(6 + which), slot(invariant_slots_[static_cast<size_t>(node)]));
    }
    return Opmask(6 + which);
  }
  Opmask mask(const Step& step, int k, int which) {
    return mask(step.node.src[static_cast<size_t>(k)], step.copy, which);
  }

  int next_use(int value) const {
    const auto v = static_cast<size_t>(value);
    const int* const end = uses_.data() + first_use_[v + 1];
    const int* const next = std::upper_bound(uses_.data() + first_use_[v], end, at_);
    return next == end ? INT_MAX : *next;
  }
  /// Frees the registers of operands that nobody reads after this step.
  std::vector<int> release_operands(const Step& step) {
    std::vector<int> kept;
    for (const int src : step.node.src) {
      if (src < 0 || !is_value(src)) continue;
      const int value = value_of(src, step.copy);
      if (next_use(value) == INT_MAX) {
        file_of(src).release(value);
      } else {
        kept.push_back(value);
      }
    }
    return kept;
  }
  int take(const Step& step) {
    const std::vector<int> kept = release_operands(step);
    RegisterFile& file = is_avx512_ && step.node.is_mask ? *masks_ : *vectors_;
    return file.take(step.value, kept, [this](int value) { return next_use(value); });
  }
  /// The register of the result. Operands that end here may have been in it, so the instruction
  /// that writes it is the last that reads them.
  Xmm define(const Step& step) { return vector(take(step)); }
  Opmask define_mask(const Step& step) { return Opmask(take(step)); }

  // Bodies

  /// Calls `visit(value)` for what an item reads.
  template <class F>
  void for_each_read(const Item& item, F visit) const {
    const auto read = [&](int node) {
      if (node >= 0 && is_value(node)) visit(static_cast<size_t>(value_of(node, item.copy)));
    };
    if (item.node < 0) return read(program_.outputs()[static_cast<size_t>(item.output)].node);
    for (const int src : program_.node(item.node).src) read(src);
  }

  /// Which items read each value, in one list: those of value v begin at first_use_[v].
  void list_uses(const std::vector<Item>& items) {
    first_use_.assign(slots_.size() + 2, 0);
    for (const Item& item : items)
      for_each_read(item, [&](size_t value) { ++first_use_[value + 2]; });
    for (size_t v = 2; v < first_use_.size(); ++v) first_use_[v] += first_use_[v - 1];
    uses_.resize(static_cast<size_t>(first_use_.back()));
    for (size_t i = 0; i < items.size(); ++i) {
      for_each_read(items[i], [&](size_t value) {
        uses_[static_cast<size_t>(first_use_[value + 1]++)] = static_cast<int>(i);
      });
    }
  }

  void emit_items(const std::vector<Item>& items, bool in_prologue, bool masked) {
    in_prologue_ = in_prologue;
    masked_ = masked;
    std::fill(slots_.begin(), slots_.end(), -1);
    list_uses(items);
    RegisterFile vectors(numbers(0, register_count_), slots_.size(), [this](int reg, int value) {
      vmovups(slot(slots_[static_cast<size_t>(value)]), vector(reg));
    });
    RegisterFile masks(numbers(2, 6), slots_.size(), [this](int reg, int value) {
      kmovw(slot(slots_[static_cast<size_t>(value)]), Opmask(reg));
    });
    vectors_ = &vectors;
    masks_ = &masks;
    for (size_t i = 0; i < items.size(); ++i) {
      at_ = static_cast<int>(i);
      emit_item(items[i]);
    }
  }

  void emit_item(const Item& item) {
    if (item.node < 0) return emit_store(item);
    const Step step{program_.node(item.node), item.copy, value_of(item.node, item.copy)};
    emit_node(step);
    RegisterFile& file = file_of(item.node);
    if (in_prologue_) {
      const Address to = slot(invariant_slots_[static_cast<size_t>(item.node)]);
      if (&file == masks_) kmovw(to, Opmask(file.of(step.value)));
      if (&file == vectors_) vmovups(to, vector(file.of(step.value)));
    }
    if (next_use(step.value) == INT_MAX) file.release(step.value);
  }

  virtual void emit_node(const Step& step) = 0;
  virtual void emit_store(const Item& item) = 0;

  const VectorProgram& program_;
  const bool is_avx512_, streams_;
  const int lanes_;
  int register_count_;
  const int nodes_;
  Xbyak::Label pool_label_;
  std::vector<unsigned char> pool_;
  std::map<std::pair<uint64_t, bool>, int> in_pool_;
  /// The first slot of the frame holds the end of the loop.
  int used_slots_ = 1;
  std::vector<int> slots_, invariant_slots_, pinned_;
  std::vector<int> uses_, first_use_;
  RegisterFile* vectors_ = nullptr;
  RegisterFile* masks_ = nullptr;
  int at_ = 0;
  bool in_prologue_ = false, masked_ = false;
};
