// SPDX-License-Identifier: MIT
// What a core executes from its SIPI on: real mode, protected mode, long mode, its own stack,
// core_main(). Copied to a page below 1 MiB and completed there by cores.cpp; never run in place.

    .section .rodata
    .globl axiom_core_start, axiom_core_start_end, axiom_core_parameters
    .hidden axiom_core_start, axiom_core_start_end, axiom_core_parameters

    .set CODE32, 0x08
    .set DATA, 0x10
    .set CODE64, 0x18

    .align 16
    .code16
axiom_core_start:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    movzwl %ax, %ebx
    shl $4, %ebx                                // ebx = where this page is
    lgdtl parameters - axiom_core_start
    mov %cr0, %eax
    and $0x9fffffff, %eax                       // caches on: INIT may have left CD and NW
    or $1, %eax                                 // PE
    mov %eax, %cr0
    ljmpl *(far_protected - axiom_core_start)

    .code32
protected:
    mov $DATA, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov cr4_value - axiom_core_start(%ebx), %eax
    mov %eax, %cr4
    mov cr3_value - axiom_core_start(%ebx), %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx                       // EFER
    rdmsr
    or efer_value - axiom_core_start(%ebx), %eax
    wrmsr
    mov $0x80010033, %eax                       // PG, WP, NE, ET, MP, PE
    mov %eax, %cr0
    ljmpl *(far_long - axiom_core_start)(%ebx)

    .code64
long:
    mov %ebx, %ebx                              // clears the upper half
    mov next_slot - axiom_core_start(%rbx), %rdx
    mov $1, %eax
    lock xadd %eax, (%rdx)
    cmp n_slots - axiom_core_start(%rbx), %eax
    jae park                                    // nobody expects this core
    mov %eax, %edi
    mov stack_stride - axiom_core_start(%rbx), %rcx
    imul %rdi, %rcx
    add first_stack_end - axiom_core_start(%rbx), %rcx
    mov %rcx, %rsp
    xor %ebp, %ebp
    call *entry - axiom_core_start(%rbx)
park:
    cli
    hlt
    jmp park

    // struct Parameters of cores.cpp.
axiom_core_parameters:
parameters:
    .word gdt_end - gdt - 1
    .long gdt - axiom_core_start
far_protected:
    .long protected - axiom_core_start
    .word CODE32
far_long:
    .long long - axiom_core_start
    .word CODE64
cr3_value:
    .long 0
cr4_value:
    .long 0
efer_value:
    .long 0
n_slots:
    .long 0
next_slot:
    .quad 0
first_stack_end:
    .quad 0
stack_stride:
    .quad 0
entry:
    .quad 0

    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00af9b000000ffff
gdt_end:
axiom_core_start_end:

    .section .note.GNU-stack, "", @progbits
