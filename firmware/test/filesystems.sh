#!/bin/sh
# Disk images made by the tools of e2fsprogs, and what must be read from them.
#
#   filesystems.sh OUT    makes OUT/*.img, OUT/*.ref and OUT/manifest, whose lines are
#
#     read  IMAGE PARTITION PATH REFERENCE    the file is, byte for byte, REFERENCE
#     fail  IMAGE PARTITION PATH TEXT         reading it fails, and the reason has TEXT
#     dirty IMAGE PARTITION                   its journal needs recovery
#     fuzz  IMAGE PARTITION PATH              small enough to be read ten thousand times
#
# PARTITION "-" is the whole disk. Without e2fsprogs the manifest is empty, and said so.
set -e
out=$1
here=$(dirname "$0")
PATH=$PATH:/usr/sbin:/sbin
export E2FSPROGS_FAKE_TIME=1308301456 LC_ALL=C
rm -rf "$out"
mkdir -p "$out/tree"
: >"$out/manifest"
for tool in mke2fs debugfs e2fsck; do
    if ! command -v $tool >/dev/null; then
        echo "filesystems.sh: NO $tool: FILE SYSTEMS ARE NOT TESTED" >&2
        exit 0
    fi
done

say() { echo "$@" >>"$out/manifest"; }

# --- what is in every file system ---
t=$out/tree
mkdir -p "$t/boot/grub/deep/er" "$t/many" "$t/a directory"
cat "$here"/../images/*.bin >"$out/big.ref"
head -c 1000 "$here/../images/rover.bin" >"$out/small.ref"
head -c 4096 "$here/../images/burn.bin" >"$out/page.ref"
cp "$out/big.ref" "$t/boot/vmlinux"
cp "$out/small.ref" "$t/boot/grub/deep/er/small"
cp "$out/page.ref" "$t/page"
: >"$t/empty"
# Data here and there up to where block pointers are triply indirect.
truncate -s 70000001 "$out/sparse.ref"
for at in 0 13 270 4000 66000 68000; do
    dd if="$out/page.ref" of="$out/sparse.ref" bs=1024 seek=$at conv=notrunc 2>/dev/null
done
printf end | dd of="$out/sparse.ref" bs=1 seek=69999998 conv=notrunc 2>/dev/null
cp --sparse=always "$out/sparse.ref" "$t/sparse"
i=0
while [ $i -lt 1500 ]; do
    : >"$t/many/a-file-with-a-rather-long-name-$i"
    i=$((i + 1))
done
cp "$out/small.ref" "$t/many/the-one-that-is-looked-for"
ln -s boot/vmlinux "$t/vmlinux"
ln -s /boot/grub/../vmlinux "$t/absolute"
ln -s ../../../vmlinux "$t/boot/grub/deep/up"
ln -s "boot/grub/deep/er/../../../grub/deep/er/../../../grub/deep/er/small" "$t/slow"
ln -s round "$t/around"
ln -s around "$t/round"
ln -s nowhere "$t/dangling"
ln -s boot/ "$t/dirlink"

expect() { # image, partition
    say read $1 $2 /boot/vmlinux big.ref
    say read $1 $2 /vmlinux big.ref
    say read $1 $2 vmlinux big.ref
    say read $1 $2 /absolute big.ref
    say read $1 $2 //boot/./grub/deep/up big.ref
    say read $1 $2 /slow small.ref
    say read $1 $2 /dirlink/grub/deep/er/small small.ref
    say read $1 $2 /many/the-one-that-is-looked-for small.ref
    say read $1 $2 /page page.ref
    say read $1 $2 /sparse sparse.ref
    say fail $1 $2 /round too many symbolic links
    say fail $1 $2 /dangling no such file
    say fail $1 $2 /nothing no such file
    say fail $1 $2 /page/x no such file
    say fail $1 $2 /boot not a file
    say fail $1 $2 / not a file
}

make() { # name, size, then options of mke2fs
    name=$1 size=$2
    shift 2
    mke2fs -q -F -N 4096 -d "$t" "$@" "$out/$name.img" $size >/dev/null
}

make ext2-1k 60000 -t ext2 -b 1024
expect ext2-1k.img -
make ext2-4k 64M -t ext2 -b 4096 -I 128
expect ext2-4k.img -
make ext3-1k 64M -t ext3 -b 1024
expect ext3-1k.img -
make ext3-2k 64M -t ext3 -b 2048
e2fsck -fyD "$out/ext3-2k.img" >/dev/null 2>&1 || true
expect ext3-2k.img -
make ext4-1k 64M -t ext4 -b 1024 -O ^64bit
expect ext4-1k.img -
make ext4-4k 64M -t ext4 -b 4096 -O 64bit,metadata_csum,metadata_csum_seed
e2fsck -fyD "$out/ext4-4k.img" >/dev/null 2>&1 || true
expect ext4-4k.img -
make ext4-meta 64M -t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,64bit,^flex_bg
expect ext4-meta.img -
make ext4-super2 64M -t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,sparse_super2
expect ext4-super2.img -
make ext4-64k 128M -t ext4 -b 65536 2>/dev/null
expect ext4-64k.img -
make ext4-mmp 64M -t ext4 -b 4096 -O mmp,large_dir,ea_inode,bigalloc,huge_file
expect ext4-mmp.img -

# A file of many extents: blocks between are taken away.
make ext4-frag 64M -t ext4 -b 1024
rm -f "$out/frag.cmd"
cp "$out/big.ref" "$out/frag.ref"
i=0
while [ $i -lt 380 ]; do
    echo "punch /boot/vmlinux $i $i" >>"$out/frag.cmd"
    dd if=/dev/zero of="$out/frag.ref" bs=1024 seek=$i count=1 conv=notrunc 2>/dev/null
    i=$((i + 2))
done
debugfs -w -f "$out/frag.cmd" "$out/ext4-frag.img" >/dev/null 2>&1
say read ext4-frag.img - /boot/vmlinux frag.ref
# Blocks that were allocated and never written read as zeroes.
debugfs -w -R "fallocate /empty 0 99" "$out/ext4-frag.img" >/dev/null 2>&1
debugfs -w -R "sif /empty size 100000" "$out/ext4-frag.img" >/dev/null 2>&1
truncate -s 100000 "$out/zero.ref"
say read ext4-frag.img - /empty zero.ref

# A journal that was not played back.
cp "$out/ext3-1k.img" "$out/dirty.img"
debugfs -w -R "feature needs_recovery" "$out/dirty.img" >/dev/null 2>&1
say dirty dirty.img -
say read dirty.img - /vmlinux big.ref

# What is not supported is named.
mke2fs -q -F -t ext4 -O inline_data -I 256 "$out/inline.img" 4M >/dev/null
say fail inline.img - /x inline_data
mke2fs -q -F -t ext4 -O encrypt,casefold "$out/crypt.img" 4M >/dev/null
say fail crypt.img - /x encrypt casefold
head -c 100000 /dev/zero >"$out/blank.img"
say fail blank.img - /x no ext2, ext3 or ext4
say fail blank.img a /x no label

# For damage: small ones, with all shapes of metadata.
mkdir -p "$out/few/boot"
cp "$out/small.ref" "$out/few/boot/small"
head -c 300000 "$out/big.ref" >"$out/few/vmlinux"
ln -s boot/small "$out/few/link"
ln -s "boot/../boot/../boot/../boot/../boot/../boot/../boot/../boot/../boot/small" "$out/few/slow"
mke2fs -q -F -d "$out/few" -t ext2 -b 1024 -N 32 "$out/few2.img" 600 >/dev/null
mke2fs -q -F -d "$out/few" -t ext4 -b 1024 -N 32 -O ^has_journal,64bit "$out/few4.img" 600 >/dev/null
for i in few2 few4; do
    for f in /vmlinux /link /slow; do say fuzz $i.img - $f; done
done

# --- labels ---
if command -v sfdisk >/dev/null; then
    for kind in sun dos gpt; do
        truncate -s 40M "$out/$kind.img"
        case $kind in
        sun) printf 'label: sun\nstart=0,size=16065\nstart=16065,size=16065\n' ;;
        dos) printf 'label: dos\nstart=2048,size=2048\nstart=4096,size=60000,type=5\nstart=6144,size=2048\nstart=10240,size=16384\n' ;;
        gpt) printf 'label: gpt\nstart=2048,size=2048\nstart=4096,size=16384\n' ;;
        esac | sfdisk -q "$out/$kind.img" >/dev/null 2>&1
    done
    dd if="$out/few4.img" of="$out/sun.img" bs=512 seek=16065 conv=notrunc 2>/dev/null
    dd if="$out/few2.img" of="$out/dos.img" bs=512 seek=10240 conv=notrunc 2>/dev/null
    dd if="$out/few4.img" of="$out/gpt.img" bs=512 seek=4096 conv=notrunc 2>/dev/null
    say read sun.img b /link small.ref
    say read sun.img B /link small.ref
    say fail sun.img d /link no such partition
    say fail sun.img z /link no such partition
    say fail sun.img a /link no ext2
    say read dos.img 6 /link small.ref
    say read dos.img f /link small.ref
    say fail dos.img 1 /link no ext2
    say fail dos.img 2 /link no ext2
    say fail dos.img 3 /link no such partition
    say fail dos.img 7 /link no such partition
    say read gpt.img 2 /link small.ref
    say read gpt.img b /link small.ref
    say fail gpt.img 9 /link no such partition
    say fuzz sun.img b /link
    say fuzz dos.img 6 /link
    say fuzz gpt.img 2 /link
else
    echo "filesystems.sh: NO sfdisk: LABELS ARE NOT TESTED" >&2
fi

# --- gzip ---
for level in 1 2 3 4 5 6 7 8 9; do
    gzip -n -c -$level "$out/big.ref" >"$out/big$level.gz"
done
gzip -n -c "$out/small.ref" >"$out/small.gz"
gzip -n -c "$out/zero.ref" >"$out/zero.gz"
cp "$out/small.ref" "$out/named"
gzip -c "$out/named" >"$out/named.gz"
rm -rf "$out/tree" "$out/few"
